import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DataPathPeer } from "../../agent/core/ports.ts";
import { must } from "../../lab/vpc/commands.ts";
import { temporaryFolder } from "../support/folder.ts";
import { TestHosts } from "../support/namespaces.ts";
import { type BenchResult, type BenchRow, type Size, workHash } from "./bench.ts";
import { application, peerNumbered, planOf } from "./datapath-plan.ts";
import { ahead } from "./datapath-processor.ts";
import { InstanceHost } from "./datapath-world.ts";

const counts: Readonly<Record<Size, readonly number[]>> = { small: [20], full: [1, 100, 1_400, 10_000] };
const services = 10;
/** Of each session: what is to be forgotten when it ends, and to be left alone when another one does. */
const connectionsEach = 10;
/** 1,400 sessions, three commands each, take a quarter of a minute. */
const naiveMax = 100;
const key = Buffer.alloc(32, 1).toString("base64url");

/**
 * How long the agent's data path takes to bring the kernel to a plan and to read it back: rules, tunnel, routes, resolver
 * and connections. Against what a script would do: `wg set` and `nft add element` for each session.
 */
export async function run(size: Size): Promise<BenchResult> {
  using _ = size === "full" ? ahead() : undefined;
  const rows: BenchRow[] = [];
  for (const sessions of counts[size]) {
    using hosts = new TestHosts();
    await using instance = new InstanceHost(hosts, "instance");
    const measured = await applyRows(instance, sessions);
    const naive = sessions <= naiveMax ? [await naiveRow(instance, sessions)] : [];
    const [against] = naive.map(({ what }) => ({ against: what }));
    rows.push(...naive, ...measured.map((row, i) => (i === 1 ? { ...row, ...against } : row)));
  }
  return { rows, work: workHash([counts[size], services, connectionsEach]) };
}

async function applyRows(instance: InstanceHost, sessions: number): Promise<BenchRow[]> {
  const { dataPath } = instance;
  const all = planOf({ sessions, services }, key);
  const nobody = { ...all, peers: [] };
  const more = { ...all, peers: [...all.peers, peerNumbered(sessions)] };
  const less = { ...all, peers: all.peers.slice(1) };
  const rows: BenchRow[] = [];
  const apply = async (what: string, wanted: typeof all) => {
    const { tookMs, cpuMs, value } = await dataPath.apply(wanted);
    if (value.peers !== wanted.peers.length || value.drift.length > 0)
      throw new Error(`${what}: ${value.peers} peers, ${value.drift.join()}`);
    const note = `${cpuMs.toFixed(0)} ms of it the agent's own processor time`;
    rows.push({ what: `${sessions} sessions: ${what}`, value: tookMs, unit: "ms", note });
  };
  // The interface is made and the resolver started with the first of all.
  await apply("a host as it boots, and none of them", nobody);
  await apply("all at once", all);
  await apply("nothing changed", all);
  await apply("one more", more);
  await fillConnections(instance, more.peers);
  await apply("the one goes", all);
  if (less.peers.length > 0) await apply("one that had connections goes", less);
  await apply("all that are left go", nobody);
  return rows;
}

/** Into the kernel's table of connections, as if they were established. */
async function fillConnections(instance: InstanceHost, peers: readonly DataPathPeer[]): Promise<void> {
  using folder = temporaryFolder();
  const file = join(folder.path, "connections");
  const lines = peers.flatMap(({ ipv4 = "" }) =>
    Array.from({ length: connectionsEach }, (_, i) => {
      const [there, ports] = [application.ipv4, `--sport ${20_000 + i} --dport 53`];
      const back = `-r ${there} -q ${ipv4} --reply-port-src 53 --reply-port-dst ${20_000 + i}`;
      return `-A -p udp -t 3600 -u SEEN_REPLY,ASSURED -s ${ipv4} -d ${there} ${ports} ${back}`;
    }),
  );
  writeFileSync(file, `${lines.join("\n")}\n`);
  await must([...instance.command(), "conntrack", "--load-file", file]);
}

/** Three commands for each session, one after the other, by a shell: the interface and a table with two maps are there. */
async function naiveRow(instance: InstanceHost, sessions: number): Promise<BenchRow> {
  using folder = temporaryFolder();
  const file = join(folder.path, "naive.sh");
  const add = (map: string, address = "") => `nft 'add element inet naive ${map} { ${address} : accept }'`;
  const { peers } = planOf({ sessions, services }, key);
  const lines = peers.flatMap(({ wireguardKey, ipv4, ipv6 }) => [
    `wg set connector0 peer ${Buffer.from(wireguardKey, "base64url").toString("base64")} allowed-ips ${ipv4},${ipv6}`,
    add("users4", ipv4),
    add("users6", ipv6),
  ]);
  writeFileSync(file, lines.join("\n"));
  const maps = [4, 6].map((family) => `map users${family} { type ipv${family}_addr : verdict; }`);
  await must([...instance.command(), "nft", `table inet naive { ${maps.join("; ")}; }`]);
  const begunMs = performance.now();
  await must([...instance.command(), "sh", "-e", file]);
  const value = performance.now() - begunMs;
  return { what: `${sessions} sessions: wg and nft for each`, value, unit: "ms" };
}
