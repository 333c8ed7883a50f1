import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Lab } from "../../lab/lab.ts";
import { scripts } from "../../lab/scripts.ts";
import { startLab } from "../../lab/start.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { instanceOf, logsIn, look, patient, places, run, untilActive, untilCondition } from "./look.ts";

/** One group of real processes, to which one thing after the other happens. */
vi.setConfig({ testTimeout: 60_000 });
/** For what takes a moment, and longer on a busy machine. */
const patienceMs = 40_000;
const folder = temporaryFolder();
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({
    folder: folder.path,
    instances: 3,
    devices: 5,
    prefixSchedule: "* * * * * *",
    controllerSettings: patient,
  });
  await untilActive(lab);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const instance = (ordinal: number) => instanceOf(lab, ordinal);

test("an agent that is killed comes back with the same leases, and nobody moves", async () => {
  const before = await places(lab);
  const leases = await look(instance(2), "leases");
  expect(leases?.length).toBeGreaterThan(0);
  const { process } = instance(2);
  process.signal("SIGKILL");
  await until("a new process", () => process.starts === 2);
  await untilActive(lab);
  // The controller may not know yet that it was gone.
  const kept = await until("its leases", () => look(instance(2), "leases"), patienceMs);
  const pair = ({ device, pool, ipv4, ipv6 }: (typeof kept)[number]) => [device, pool, ipv4, ipv6];
  expect(kept.map(pair)).toEqual(leases?.map(pair));
  expect(await places(lab)).toEqual(before);
});

test("a controller that is killed comes back, agents and devices return, and nobody moves", async () => {
  const before = await places(lab);
  const { process } = lab.controller;
  process.signal("SIGKILL");
  await until("a new process", () => process.starts === 2);
  await untilActive(lab);
  const areLinked = async () => (await lab.listDevices()).every(({ connected }) => connected);
  await until("devices linked", areLinked, patienceMs);
  expect(await places(lab)).toEqual(before);
});

test("an agent that restarts while the controller is away serves what is on its disk", async () => {
  const before = await places(lab);
  const [{ process, socket }, sessions] = [instance(1), await look(instance(1), "sessions")];
  expect(sessions?.length, socket).toBeGreaterThan(0);
  await lab.controller.process.stop();
  process.signal("SIGKILL");
  const isWaiting = async () => {
    const said = await look(instance(1), "status");
    return process.starts === 2 && said?.link.state === "waiting" ? said : undefined;
  };
  const status = await until("an answer", isWaiting, patienceMs);
  expect(status.status).toBe("Offline");
  const served = await until("its sessions", () => look(instance(1), "sessions"));
  expect(served.map(({ session, state }) => [session, state]).sort()).toEqual(
    sessions?.map(({ session }) => [session, "granted"]).sort(),
  );
  lab.controller.process.start();
  await untilActive(lab);
  expect(await places(lab)).toEqual(before);
});

test("a device that logs out leaves, and comes back when it logs in", async () => {
  const [device] = lab.devices;
  const session = async () =>
    (await lab.listDevices()).find(({ name }) => name === device?.plan.name)?.session ?? undefined;
  const before = await session();
  const command = (name: string) => run(scripts.device, name, "--state-dir", device?.stateFolder ?? "");
  await command("logout");
  await until("detached", async () => (await session()) === undefined);
  expect(await command("status")).toMatchObject({ code: 0 });
  await command("login");
  await untilActive(lab);
  expect((await session())?.id).not.toBe(before?.id);
  const { ipv4 = "none" } = (await session()) ?? {};
  // The controller knows it before the device does.
  await until("the device shows it", async () => (await command("status")).output.includes(`${ipv4}`));
});

test("a metadata service that does not answer changes nothing", async () => {
  const before = await places(lab);
  instance(3).imds.fault({ kind: "blackHole" });
  await untilCondition(instance(3), "imds.unreachable");
  expect(await look(instance(3), "status")).toMatchObject({ status: "Active" });
  expect(await places(lab)).toEqual(before);
  instance(3).imds.clearFault();
});

test("a prefix that is taken away with leases in it: first missing, then gone, its leases quarantined", async () => {
  const losing = instance(3);
  const [prefix] = losing.plan.pools.Pool1?.ipv4 ?? [];
  expect((await look(losing, "leases"))?.length).toBeGreaterThan(0);
  losing.imds.unassignPrefix(prefix ?? "");
  const row = async () => (await look(losing, "prefixes"))?.find((it) => it.prefix === prefix);
  await until("missing", async () => (await row())?.imds === "missing", 20_000);
  expect((await look(losing, "leases"))?.every(({ state }) => state !== "quarantined")).toBe(true);
  await until("gone", async () => (await row())?.verdict === "prefix.vanished", 30_000);
  await untilCondition(losing, "prefix.vanished");
  const counts = await until("none is leased", async () => {
    const pool = (await look(losing, "pools"))?.find(({ name }) => name === "Pool1");
    return pool?.leased === 0 ? pool : undefined;
  });
  expect(counts.free).toBe(0);
  expect(counts.quarantined).toBeGreaterThan(0);
  // Its sessions are served elsewhere, and the devices know.
  const losingName = (await lab.viewOf(losing))?.name ?? "";
  await until(
    "moved",
    async () => {
      const devices = await lab.listDevices();
      return devices.every(({ session }) => session?.state === "attached" && session.instance !== losingName);
    },
    patienceMs,
  );
  const held = () =>
    lab.devices.map(({ stateFolder }) => readFileSync(join(stateFolder, "state.json"), "utf8"));
  await until("known to the devices", () => held().every((state) => !state.includes(losingName)));
});

test("no log holds an OTP, a join code or the admin token", () => {
  const token = readFileSync(lab.controller.tokenFile, "utf8").trim();
  for (const [path, text] of logsIn(folder.path)) {
    for (const secret of [token, ...lab.secrets]) expect(text.includes(secret), path).toBe(false);
  }
});
