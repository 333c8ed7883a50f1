import { spawn } from "node:child_process";
import { expect, onTestFinished, test } from "vitest";
import { NftMonitor } from "../../agent/adapters/nft-monitor.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { insideOf, noNamespaces, TestHosts } from "../support/namespaces.ts";
import { keepingLog } from "../support/quiet-log.ts";
import { until } from "../support/until.ts";

const title = (what: string) => (noNamespaces === undefined ? what : `${what} (skipped: ${noNamespaces})`);

test.skipIf(noNamespaces !== undefined)(title("who changes our table is told at once"), async () => {
  const hosts = new TestHosts();
  onTestFinished(() => hosts[Symbol.dispose]());
  const inside = insideOf(hosts.add("monitor"));
  const run = commandRunner(inside);
  /** Resolves with how who did it is told of. */
  const nft = async (...words: string[]) => {
    const done = await run(["sh", "-c", 'echo $$; exec nft "$@"', "sh", ...words]);
    if (!done.ok) throw done.failure;
    return `nft (pid ${done.value.trim()})`;
  };
  const told: string[] = [];
  using monitor = new NftMonitor({ log: keepingLog().log, inside, onChange: (by) => told.push(by) });
  await nft("add table inet connector");
  await nft("add chain inet connector forward");
  await nft("add set inet connector svc { type ipv4_addr; flags timeout; }");
  await nft("add map inet connector users4 { type ipv4_addr : verdict; }");
  // It may have begun to listen after some of these.
  await until("it listens", async () => {
    await nft("add rule inet connector forward counter");
    return told.length > 0;
  });
  /** What the kernel told before is heard before. */
  const heard = async (by: string) => {
    await until(`${by} is told`, () => told.includes(by));
    return told.splice(0);
  };
  await heard(await nft("add rule inet connector forward counter"));
  await nft("add table inet other");
  await nft("add element inet connector svc { 192.0.2.1 timeout 300s }");
  await nft("flush table inet other");
  const stranger = await nft("add element inet connector users4 { 192.0.2.1 : accept }");
  expect(await heard(stranger)).toEqual([stranger]);
  const flush = await nft("flush ruleset");
  expect(await heard(flush)).toEqual([flush]);
  const [file = "", ...args] = [...inside, "nft", "add", "table", "inet", "connector"];
  const own = spawn(file, args);
  monitor.own(own.pid ?? 0);
  await new Promise((resolve) => own.once("exit", resolve));
  const next = await nft("add chain inet connector forward");
  expect(await heard(next)).toEqual([next]);
});

test.skipIf(noNamespaces !== undefined)(
  title("listening goes on after nft was killed, or could not run"),
  async () => {
    const hosts = new TestHosts();
    onTestFinished(() => hosts[Symbol.dispose]());
    const namespace = hosts.add("monitor");
    const { log, lines } = keepingLog();
    let told = 0;
    using _ = new NftMonitor({ log, inside: insideOf(namespace), onChange: () => told++ });
    const run = commandRunner(insideOf(namespace));
    const isHeard = async () => {
      await run(["nft", "add table inet connector; delete table inet connector"]);
      return told > 0;
    };
    await until("it listens", isHeard);
    told = 0;
    await run([
      "sh",
      "-c",
      `kill -9 $(ip netns pids ${namespace} | xargs -rn1 sh -c 'grep -lz monitor /proc/$0/cmdline' | cut -d/ -f3)`,
    ]);
    await until("its end is told", () => lines.length === 1);
    await until("it listens again", isHeard, 10_000);
    expect(lines).toMatchObject([{ level: "warn", fields: { why: "nft monitor ended with SIGKILL" } }]);
    using none = new NftMonitor({ log, inside: ["/nonexistent"], onChange: () => told++ });
    await until("its absence is told", () => lines.length === 2);
    none[Symbol.dispose]();
  },
);
