import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentClient } from "../../agent/cli/client.ts";
import { createRegionSigner } from "../../lab/certificates.ts";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import { startImds } from "../../lab/imds/server.ts";
import type { StatusView } from "../../protocol/view.ts";
import { buildAgent } from "../../scripts/build.ts";
import { scriptedController } from "../agent/controller.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { type BenchResult, quantile, type Size, workHash } from "./bench.ts";

const otp = "otp-for-the-bench-0123456789";
const ipv6 = "2600:1f18:2a89:703:1::/80";

/**
 * The whole process, bundled as it ships: from its start with a saved identity to Active as its socket says, and its
 * memory and idle processor time with sessions. Against a Node that does nothing.
 */
export async function run(size: Size): Promise<BenchResult> {
  const starts = size === "full" ? 5 : 1;
  // The devices' signs of life are read every 15 s: idling is at least one such period.
  const idleMs = size === "full" ? 30_000 : 200;
  // V8 tidies up some eight seconds after a burst, once: that is not idling.
  const settleMs = size === "full" ? 10_000 : 100;
  const counts = size === "full" ? [0, 1_400, 10_000] : [0, 20];
  await using group = await bench();
  await group.start();
  await group.stop();

  const toActiveMs: number[] = [];
  for (let i = 0; i < starts; i++) {
    const startMs = performance.now();
    await group.start();
    toActiveMs.push(performance.now() - startMs);
    await group.stop();
  }
  const memory: { sessions: number; megabytes: number; idlePercent: number }[] = [];
  await group.start();
  for (const sessions of counts) {
    await group.serve(sessions);
    await sleep(settleMs);
    const idlePercent = await group.processorPercent(idleMs);
    memory.push({ sessions, megabytes: group.megabytes(), idlePercent });
  }
  await group.stop();
  const restartMs = performance.now();
  await group.start();
  const toActiveWithSessionsMs = performance.now() - restartMs;
  const last = counts.at(-1) ?? 0;
  const bare = bareNode();
  return {
    rows: [
      { what: "bare Node: start to exit", value: bare.ms, unit: "ms" },
      {
        what: "agent: start to Active, median",
        value: quantile(toActiveMs, 0.5),
        unit: "ms",
        against: "bare Node: start to exit",
        budget: { atMost: 1_000 },
      },
      { what: `agent: start to Active serving ${last}`, value: toActiveWithSessionsMs, unit: "ms" },
      { what: "bare Node: memory", value: bare.megabytes, unit: "MB" },
      ...memory.flatMap(({ sessions, megabytes, idlePercent }) => [
        {
          what: `agent: memory with ${sessions} sessions`,
          value: megabytes,
          unit: "MB",
          against: "bare Node: memory",
          ...(sessions === 1_400 ? { budget: { atMost: 100 } } : {}),
        },
        // A tick of the process clock is 10 ms: less than one in the whole time counts as one.
        {
          what: `agent: idle processor with ${sessions} sessions`,
          value: Math.max(idlePercent, (10 / idleMs) * 100),
          unit: "%",
          ...(size === "full" ? { budget: { atMost: 0.5 } } : {}),
        },
      ]),
    ],
    work: workHash([counts, last]),
  };
}

/** One instance on a scripted controller and an emulated metadata service, with a pool of one /80. */
async function bench() {
  const folder = temporaryFolder();
  const built = join(folder.path, "bundle");
  await buildAgent(built);
  const imds = await startImds({
    instance: instanceNumbered(1, { lifeCycle: "on-demand" }),
    signer: await createRegionSigner("us-east-1"),
    propagationMs: 0,
  });
  imds.assignPrefix(ipv6);
  const controller = await scriptedController(otp);
  controller.want({
    connector: { name: "c", mode: "active-active", dns: { primary: "172.18.0.2" }, ipv6PoolMatch: "exact" },
    "pool/Pool1": { group: "Employees", leaseMinutes: 1440, ipv4: [], ipv6: [ipv6] },
  });
  const otpFile = join(folder.path, "connector.otp");
  const lines = [
    `controller: ${controller.url}`,
    "ip: 172.18.139.4",
    "gateway: 172.18.128.1",
    `otpFile: ${otpFile}`,
  ];
  writeFileSync(join(folder.path, "enroll.yaml"), `${[...lines, "health: off"].join("\n")}\n`);
  writeFileSync(otpFile, otp, { mode: 0o600 });
  const socket = join(folder.path, "agent.sock");
  const client = new AgentClient(socket);
  let child: ChildProcess | undefined;
  const pid = () => child?.pid ?? 0;
  const shows = (what: string, isSo: (status: StatusView) => boolean) =>
    until(
      what,
      async () => {
        const status = await client.read("status");
        return status.ok && isSo(status.value);
      },
      60_000,
    );
  return {
    async start(): Promise<void> {
      const files = [
        "--parameters",
        join(folder.path, "enroll.yaml"),
        "--state-dir",
        join(folder.path, "state"),
      ];
      child = spawn(process.execPath, [join(built, "connector-agent.mjs"), ...files, "--socket", socket], {
        env: {
          PATH: process.env.PATH,
          AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.url,
          CONNECTOR_INTERFACE: "imds",
          CONNECTOR_DATAPATH: "record",
        },
        stdio: "ignore",
      });
      await shows("Active", (status) => status.status === "Active");
    },
    async stop(): Promise<void> {
      if (child?.exitCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
    async serve(count: number): Promise<void> {
      const sessions = Array.from({ length: count }, (_, i): [string, unknown] => {
        const tail = i.toString(16).padStart(12, "0");
        const device = `00000000-0000-4000-8000-${tail}`;
        const spec = { epoch: 1, device, user: `user${i}`, pool: "Pool1", wireguardKey: "W".repeat(43) };
        return [`session/00000000-0000-4000-9000-${tail}`, spec];
      });
      controller.want(Object.fromEntries(sessions));
      await shows(`${count} granted`, ({ pools }) => pools[0]?.leased === count);
    },
    megabytes: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid()}/status`, "utf8"))?.[1]) / 1024,
    async processorPercent(overMs: number): Promise<number> {
      const before = processorMs(pid());
      await sleep(overMs);
      return ((processorMs(pid()) - before) / overMs) * 100;
    },
    async [Symbol.asyncDispose]() {
      child?.kill("SIGKILL");
      await controller[Symbol.asyncDispose]();
      await imds[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** User and system time of a process, ms: fields 14 and 15 of proc(5) stat, in ticks of 10 ms. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function bareNode(): { ms: number; megabytes: number } {
  const startMs = performance.now();
  const script = "process.stdout.write(String(process.memoryUsage.rss() / 1048576))";
  const { stdout } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  return { ms: performance.now() - startMs, megabytes: Number(stdout) };
}
