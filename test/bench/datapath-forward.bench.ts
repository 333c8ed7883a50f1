import { Nft } from "../../agent/adapters/nft.ts";
import { NftTable } from "../../agent/adapters/nft-table.ts";
import { firewallOf } from "../../agent/core/firewall.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { createLogger } from "../../protocol/node/log.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import { temporaryFolder } from "../support/folder.ts";
import { insideOf, runIn, TestHosts } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { type BenchResult, type BenchRow, quantile, type Size, workHash } from "./bench.ts";
import { measuredAddress, type PlanSize, planOf } from "./datapath-plan.ts";
import { ahead } from "./datapath-processor.ts";

const plans: Readonly<Record<Size, readonly PlanSize[]>> = {
  small: [{ sessions: 2, services: 4 }],
  full: [
    { sessions: 1, services: 1 },
    { sessions: 100, services: 10 },
    { sessions: 1_400, services: 200 },
  ],
};
const pairs: Readonly<Record<Size, number>> = { small: 1, full: 9 };
const key = Buffer.alloc(32, 1).toString("base64url");

const ways = {
  bare: { cable: 78, user: "10.201.0.1", application: "10.99.0.2" },
  product: { cable: 77, user: measuredAddress.ipv4, application: "10.99.0.1" },
} as const;
type Way = keyof typeof ways;

/**
 * What the rules, and the tracking of connections that they need, add to a forwarded packet where no encryption hides it: a
 * cable stands for the tunnel. Told in processor time of the sender, in whose name the kernel forwards, so that it is the
 * same on a busy machine.
 */
export async function run(size: Size): Promise<BenchResult> {
  using _ = size === "full" ? ahead() : undefined;
  using folder = temporaryFolder();
  using hosts = new TestHosts();
  const { users, instance, tunnel } = await build(hosts);
  const nft = new Nft({ run: commandRunner(insideOf(instance)), folder: folder.path });
  const table = new NftTable({ nft, log: createLogger({ name: "bench", level: "silent" }) });
  const end = { interface: tunnel, ...instanceEnd, port: 51_820 };
  const bare: number[] = [];
  const rows: BenchRow[] = [];
  for (const { sessions, services } of plans[size]) {
    const plan = planOf({ sessions, services }, key);
    const applied = await table.apply(firewallOf({ ...plan, resources: new Map(plan.resources) }, end));
    if (!applied.ok) throw applied.failure;
    const product: number[] = [];
    for (let pair = 0; pair < pairs[size]; pair++) {
      bare.push(await packetNs(users, "bare"));
      product.push(await packetNs(users, "product"));
    }
    rows.push({
      what: `packet, ${sessions} sessions, ${services} services`,
      value: quantile(product, 0.5),
      unit: "ns",
      against: bareRow,
    });
  }
  rows.unshift({ what: bareRow, value: quantile(bare, 0.5), unit: "ns" });
  return { rows, work: workHash([plans[size], pairs[size]]) };
}

const bareRow = "packet, no rules: sent, forwarded, received";

/** Users and an application with two instances between them, as far as the cables that stand for tunnels go. */
async function build(hosts: TestHosts): Promise<{ users: string; instance: string; tunnel: string }> {
  const [users, application] = [hosts.add("users"), hosts.add("application")];
  const instances = { bare: hosts.add("bare"), product: hosts.add("instance") };
  for (const way of ["bare", "product"] as const) {
    const { cable, user, application: address } = ways[way];
    const instance = instances[way];
    hosts.connect(users, [`10.${cable}.0.2/24`], instance, [`10.${cable}.0.1/24`]);
    hosts.connect(application, [`10.${cable}.1.2/24`], instance, [`10.${cable}.1.1/24`]);
    const to = (host: string, what: string, via: string, ...more: string[]) =>
      runIn(host, "ip", "route", "add", `${what}/32`, "via", `10.${cable}.${via}`, ...more);
    await runIn(users, "ip", "address", "add", `${user}/32`, "dev", "lo");
    await runIn(application, "ip", "address", "add", `${address}/32`, "dev", "lo");
    await runIn(instance, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    await to(users, address, "0.1", "src", user);
    await to(instance, address, "1.2");
    await to(instance, user, "0.2");
    await to(application, user, "1.1");
    await runIn(application, "iperf3", "--server", "--daemon", "--bind", address);
  }
  await until("both servers", async () => {
    const listening = await runIn(application, "ss", "--no-header", "--listening", "--tcp", "--numeric");
    return listening.trim().split("\n").length === 2;
  });
  const links = await runIn(instances.product, "ip", "-json", "address", "show", "to", "10.77.0.1");
  const [link] = JSON.parse(links) as { ifname: string }[];
  return { users, instance: instances.product, tunnel: link?.ifname ?? "" };
}

/** Small datagrams as fast as they go, for a second. */
async function packetNs(users: string, way: Way): Promise<number> {
  const options = ["--udp", "--length", "64", "--bitrate", "0", "--time", "1"];
  const text = await runIn(users, "iperf3", "--json", "--client", ways[way].application, ...options);
  const { sum, cpu_utilization_percent: processor } = (JSON.parse(text) as Report).end;
  return ((processor.host_total / 100) * sum.seconds * 1e9) / sum.packets;
}

interface Report {
  readonly end: {
    readonly sum: { readonly seconds: number; readonly packets: number };
    readonly cpu_utilization_percent: { readonly host_total: number };
  };
}
