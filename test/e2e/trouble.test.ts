import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { LabInstance } from "../../lab/instance.ts";
import type { Lab } from "../../lab/lab.ts";
import { planInstances } from "../../lab/plan.ts";
import { Process } from "../../lab/process.ts";
import { scripts } from "../../lab/scripts.ts";
import { startLab } from "../../lab/start.ts";
import { mountTmpfs } from "../support/disk.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { connector, controllerCli, look, patient, places, untilActive, untilCondition } from "./look.ts";

/** What operators, metadata services and disks do to an instance that carries users, and what is shown of it. */
vi.setConfig({ testTimeout: 60_000 });
const folder = temporaryFolder();
let lab: Lab;
let first: LabInstance;
let second: LabInstance;
let disk: ReturnType<typeof mountTmpfs>;

beforeAll(async () => {
  lab = await startLab({
    folder: folder.path,
    instances: 2,
    devices: 4,
    prefixSchedule: "* * * * * *",
    controllerSettings: patient,
  });
  await untilActive(lab);
  [first, second] = lab.instances as [LabInstance, LabInstance];
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  disk?.[Symbol.dispose]();
  folder[Symbol.dispose]();
});

const nameOf = async (instance: LabInstance) => (await lab.viewOf(instance))?.name ?? "";

test("pools that cannot be: the controller refuses them, with the reason and what to do", async () => {
  const before = await places(lab);
  const [name, other] = [await nameOf(first), await nameOf(second)];
  const taken = second.plan.pools.Pool1?.ipv4[0] ?? "";
  const refusals: [range: string, code: string, said: string][] = [
    ["Pool1=172.18.128.17/28", "prefix.host-bits", "172.18.128.16/28"],
    ["Pool1=172.18.128.32/27", "prefix.length", "AWS assigns /28 for IPv4 and /80 for IPv6"],
    ["Pool1=2600:1f18:2a89:703:1001::/81", "prefix.length", "AWS assigns /28"],
    [`Pool1=${taken}`, "prefix.overlap", other],
  ];
  const answers = await Promise.all(
    refusals.map(([range]) => controllerCli(lab, "instance", "pools", "set", name, range)),
  );
  for (const [i, [range, code, said]] of refusals.entries()) {
    expect(answers[i]?.code, range).toBe(1);
    expect(answers[i]?.errors, range).toContain(`[${code}]`);
    expect(answers[i]?.errors, range).toContain(said);
  }
  const all = refusals.map(([range]) => range.replace("Pool1=", "")).join();
  const together = await controllerCli(lab, "instance", "pools", "set", name, `Pool1=${all}`);
  for (const [range, code] of refusals) {
    const line = together.errors
      .split("\n")
      .find((text) => text.includes(`"${range.replace("Pool1=", "")}"`));
    expect(line, range).toContain(`[${code}]`);
  }
  expect(await places(lab)).toEqual(before);
});

test("pools that AWS does not route here: the instance says so, to its operator and to the controller", async () => {
  const extra = await lab.launch();
  const { name } = await lab.configurePools(extra);
  const [own = ""] = extra.plan.pools.Pool1?.ipv4 ?? [];
  const [unassigned, outside] = ["172.18.143.240/28", "10.9.8.16/28"];
  await lab.controller.admin.call("instance.pools.set", {
    params: { instance: name },
    body: { Pool1: { ipv4: [own, unassigned, outside], ipv6: [] } },
  });
  await untilCondition(extra, "prefix.not-assigned");
  await untilCondition(extra, "prefix.outside-subnet");
  const shown = await connector("prefixes", "--socket", extra.socket);
  expect(shown.code).toBe(1);
  expect(shown.output).toMatch(/^172\.18\.143\.240\/28 +Pool1 +no +no +not-assigned$/m);
  expect(shown.output).toMatch(/^10\.9\.8\.16\/28 +Pool1 +no +no +outside-subnet$/m);
  const group = await until("told to the controller", async () => {
    const { output } = await controllerCli(lab, "status");
    return output.includes("prefix.outside-subnet") ? output : undefined;
  });
  expect(group).toMatch(new RegExp(`${name}: .*${outside}.*\\[prefix\\.outside-subnet\\]\n  → `));
  // What is routed carries users all the same.
  expect(await look(extra, "status")).toMatchObject({ status: "Active" });
  await lab.controller.admin.call("instance.pools.set", {
    params: { instance: name },
    body: extra.plan.pools as Record<string, { ipv4: string[]; ipv6: string[] }>,
  });
  await untilActive(lab);
});

test("a metadata service that flaps, lies for a while or answers web pages moves nobody", async () => {
  const before = await places(lab);
  const [prefix = ""] = second.plan.pools.Pool1?.ipv4 ?? [];
  first.imds.fault({ kind: "flap" });
  second.imds.fault({ kind: "lie", mac: second.ec2.interfaces[0].mac, prefixes: ["172.18.138.240/28"] });
  const missing = async (instance: LabInstance) =>
    (await look(instance, "prefixes"))?.some(({ imds }) => imds === "missing");
  await until("the lie is seen", () => missing(second), 20_000);
  await until("the flapping is seen", () => missing(first), 20_000);
  expect((await look(second, "leases"))?.every(({ state }) => state === "leased")).toBe(true);
  second.imds.clearFault();
  second.imds.fault({ kind: "html" });
  await untilCondition(second, "imds.malformed");
  expect(await look(second, "status")).toMatchObject({ status: "Active" });
  second.imds.clearFault();
  first.imds.clearFault();
  await until(
    "the truth is seen",
    async () => {
      const row = (await look(second, "prefixes"))?.find((it) => it.prefix === prefix);
      return row?.imds === "present" && !(await missing(first));
    },
    20_000,
  );
  await untilActive(lab);
  expect(await places(lab)).toEqual(before);
});

test("two processes with one identity: both say so, and when one is stopped all is well", async () => {
  const twinFolder = join(folder.path, "twin");
  mkdirSync(twinFolder);
  cpSync(join(first.stateFolder, "identity.json"), join(twinFolder, "state", "identity.json"));
  const socket = join(twinFolder, "agent.sock");
  const twin = new Process({
    name: "twin",
    args: [
      scripts.agent,
      "--parameters",
      first.parametersFile,
      "--state-dir",
      join(twinFolder, "state"),
      "--socket",
      socket,
    ],
    env: {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: first.imds.url,
      CONNECTOR_INTERFACE: "imds",
      CONNECTOR_HEALTH: "off",
    },
    logFile: join(twinFolder, "agent.log"),
  });
  twin.start();
  try {
    await untilCondition(first, "link.superseded");
    await untilCondition({ ...first, process: twin, socket }, "link.superseded");
  } finally {
    await twin.stop();
  }
  await untilActive(lab, 60_000);
  const addresses = (await lab.listDevices()).map(({ session }) => session?.ipv4);
  expect(new Set(addresses).size).toBe(addresses.length);
});

test("a corrupt database is set aside, and the sessions come back with their addresses", async () => {
  const before = await places(lab);
  const { process, stateFolder } = second;
  const held = await look(second, "leases");
  expect(held?.length).toBeGreaterThan(0);
  await process.stop();
  const database = join(stateFolder, "agent.db");
  writeFileSync(database, "not a database, ".repeat(1024));
  process.start();
  await untilCondition(second, "store.corrupt");
  expect(readdirSync(stateFolder).some((name) => name.startsWith("agent.db.corrupt-"))).toBe(true);
  const same = await until("the leases", async () => {
    const leases = await look(second, "leases");
    const leased = leases?.filter(({ state }) => state === "leased");
    return leased?.length === held?.length ? leased : undefined;
  });
  const pair = ({ device, ipv4, ipv6 }: (typeof same)[number]) => [device, ipv4, ipv6];
  expect(same.map(pair)).toEqual(held?.map(pair));
  await until("the controller knows", async () => {
    return (await lab.viewOf(second))?.conditions.some(({ code }) => code === "store.corrupt");
  });
  await untilActive(lab);
  expect(await places(lab)).toEqual(before);
});

test("a truncated database too", async () => {
  const before = await places(lab);
  await first.process.stop();
  truncateSync(join(first.stateFolder, "agent.db"), 5000);
  first.process.start();
  await untilCondition(first, "store.corrupt");
  await untilActive(lab);
  expect(await places(lab)).toEqual(before);
});

test("a full disk: users stay, nobody new is leased an address, and it passes", async ({ skip }) => {
  const plan = planInstances(4).at(-1);
  const ordinal = join(folder.path, "instance-4");
  disk = mountTmpfs(ordinal, "size=2m", "state");
  if (disk === undefined) return skip("mounting a small disk needs root");
  const instance = await lab.launch(plan);
  const { name } = await lab.configurePools(instance);
  await untilActive(lab);
  const others = [first, second, ...lab.instances.slice(2, 3)];
  const tellOthers = async (what: "instance.drain" | "instance.resume") => {
    for (const other of others)
      await lab.controller.admin.call(what, { params: { instance: await nameOf(other) } });
  };
  // Only this one takes new users.
  await tellOthers("instance.drain");
  const device = { name: "zoe-laptop", user: "zoe", group: "Employees" };
  await lab.addDevice(device);
  const isAttached = async () =>
    (await lab.listDevices()).some((it) => it.name === device.name && it.session?.instance === name);
  await until("attached", isAttached, 30_000);
  // The others' users come over, too.
  const areThere = async () => (await lab.listDevices()).every(({ session }) => session?.leaving === null);
  await until("nobody is on the way", areThere, 30_000);
  const leased = async () =>
    (await look(instance, "leases"))?.filter(({ state }) => state === "leased").length;
  const before = await leased();
  const filler = join(disk.path, "filler");
  fill(filler);
  const late = { name: "yan-laptop", user: "yan", group: "Employees" };
  await lab.addDevice(late);
  await untilCondition(instance, "store.full");
  expect(await leased()).toBe(before);
  rmSync(filler);
  await until(
    "attached too",
    async () =>
      (await lab.listDevices()).some((it) => it.name === late.name && it.session?.state === "attached"),
    30_000,
  );
  await until(
    "the condition has passed",
    async () => (await look(instance, "status"))?.conditions.length === 0,
    20_000,
  );
  await tellOthers("instance.resume");
  await untilActive(lab);
});

test("a read-only disk: the agent says why it does not start, and starts when it can", async ({ skip }) => {
  const [instance] = lab.instances.slice(3);
  if (instance === undefined) return skip("mounting a small disk needs root");
  const before = await places(lab);
  const remount = (how: string) => spawnSync("mount", ["-o", `remount,${how}`, instance.stateFolder]).status;
  await instance.process.stop();
  expect(remount("ro")).toBe(0);
  instance.process.start();
  await until("the reason", () => instance.process.log().includes('"code":"store.read-only"'), 30_000);
  expect(await places(lab)).toEqual(before);
  expect(remount("rw")).toBe(0);
  await untilActive(lab);
  expect(await places(lab)).toEqual(before);
});

/** Writes until there is no room. */
function fill(path: string): void {
  const block = Buffer.alloc(4096);
  try {
    for (;;) writeFileSync(path, block, { flag: "a" });
  } catch {
    // Full.
  }
}
