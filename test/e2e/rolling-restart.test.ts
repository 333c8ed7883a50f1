import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Lab } from "../../lab/lab.ts";
import { planDevices, planInstances } from "../../lab/plan.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { controllerCli, instanceOf, look, patient, untilActive } from "./look.ts";

/** Three instances that carry both groups, and ten devices: real processes, one rolling restart after the other. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
const folder = temporaryFolder();
const said: string[] = [];
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.start({
    folder: folder.path,
    say: (text) => said.push(text),
    controllerSettings: { ...patient, drainDeadlineMs: 5_000, restartReturnMs: 15_000 },
  });
  const ranges = planInstances(9).flatMap(({ pools }) => Object.values(pools));
  for (const ordinal of [1, 2, 3]) {
    const [Pool1, Pool2] = ranges.slice(2 * ordinal - 2);
    if (Pool1 === undefined || Pool2 === undefined) throw new RangeError("not enough prefixes");
    await lab.configurePools(await lab.launch({ ordinal, pools: { Pool1, Pool2 } }));
  }
  await untilActive(lab);
  await Promise.all(planDevices(10).map((plan) => lab.addDevice(plan)));
  await untilActive(lab);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const instance = (ordinal: number) => instanceOf(lab, ordinal);

const devices = () => lab.listDevices();
const sessions = async () => new Map((await devices()).map(({ name, session }) => [name, session?.id]));

/** Looks at every device until told to stop; answers who had no place that serves it, and when. */
function watchSessions() {
  const lost: string[] = [];
  let [isOver, looks] = [false, 0];
  const watching = (async () => {
    while (!isOver) {
      for (const { name, session } of await devices()) {
        const isServed = session?.state === "attached" || session?.leaving != null;
        if (!isServed) lost.push(`${name} ${session?.state} ${session?.code}`);
      }
      looks += 1;
      // The controller answers an administrator 6,000 times a minute, and the others who ask are to be among them.
      await sleep(50);
    }
  })();
  // Who stops it is told.
  watching.catch(() => {});
  return async () => {
    isOver = true;
    await watching;
    return { lost, looks };
  };
}

test("goes through all three instances, and nobody loses a session", async () => {
  const [before, starts] = [await sessions(), lab.instances.map(({ process }) => process.starts)];
  const upSince = await Promise.all(
    lab.instances.map(async (one) => (await look(one, "status"))?.upSinceMs ?? 0),
  );
  const processes = (await lab.listInstances()).map(({ process }) => process);
  const stop = watchSessions();
  const { code, output, errors } = await controllerCli(lab, "connector", "restart", "lab", "--wait");
  const { lost, looks } = await stop();
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(lost).toEqual([]);
  expect(looks).toBeGreaterThan(3);
  for (const { name } of await lab.listInstances()) {
    expect(output).toMatch(new RegExp(`^.*Z {2}${name} {2}restarted$`, "m"));
  }
  expect(output).toMatch(/\ndone\n3 of 3 restarted\n→ Nothing to do\.\n$/);
  expect(Math.max(...output.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80);
  // Each is another process, once.
  expect(lab.instances.map(({ process }) => process.starts)).toEqual(starts.map((count) => count + 1));
  for (const ordinal of [1, 2, 3])
    expect(said).toContain(`agent-${ordinal} exited with 75, starting it again`);
  const after = await lab.listInstances();
  for (const [i, { process, upSinceMs }] of after.entries()) {
    expect(process).not.toBe(processes[i]);
    expect(upSinceMs).toBeGreaterThan(upSince[i] ?? 0);
  }
  expect(
    (await lab.controller.admin.call("audit.list", { query: { action: "restart.restarted" } })).items,
  ).toHaveLength(3);
  await untilActive(lab);
  expect(await sessions()).toEqual(before);
});

test("stops at the one that never returns; the others are untouched, and nobody loses a session", async () => {
  const before = await sessions();
  const [first, ...others] = lab.instances.map(({ process }) => process.starts);
  const { process } = instance(1);
  const stop = watchSessions();
  // It ends when it is told to, and is left down.
  const down = process.ended.then(() => process.stop());
  const { code, output } = await controllerCli(lab, "connector", "restart", "lab", "--wait");
  await down;
  expect(code).toBe(1);
  const [name = "", second = "", third = ""] = (await lab.listInstances()).map((view) => view.name);
  expect(output).toContain(`stopped at ${name}: it did not come back\n0 of 3 restarted\n`);
  const shown = await controllerCli(lab, "connector", "restart", "lab", "--show");
  expect(shown.output).toMatch(new RegExp(`^${second} {2}untouched\n${third} {2}untouched$`, "m"));
  expect((await controllerCli(lab, "status")).output).toContain("its rolling restart stopped at");
  expect(lab.instances.slice(1).map((one) => one.process.starts)).toEqual(others);
  expect(process.starts).toBe(first);
  await until("everybody elsewhere", async () =>
    (await devices()).every(({ session }) => session?.state === "attached" && session.instance !== name),
  );
  expect((await stop()).lost).toEqual([]);
  expect(await sessions()).toEqual(before);
  process.start();
  await untilActive(lab);
});

test("an instance that is drained shows how far it has come, until nobody is left", async () => {
  const busiest = (await lab.listInstances()).toSorted((a, b) => b.sessions - a.sessions)[0];
  const name = busiest?.name ?? "";
  expect(busiest?.sessions).toBeGreaterThan(0);
  const drained = await controllerCli(lab, "instance", "drain", name, "--wait", "--deadline", "60");
  expect(drained.code, drained.errors).toBe(0);
  expect(drained.output).toMatch(
    new RegExp(`${name} takes no new sessions:\n  because of admin, since .*Z\n`),
  );
  expect(drained.output).toMatch(new RegExp(`  nobody is left; ${busiest?.sessions} moved\n$`));
  expect((await controllerCli(lab, "instance", "resume", name)).code).toBe(0);
  await untilActive(lab);
  const { draining } = (await lab.listInstances()).find((view) => view.name === name) ?? {};
  expect(draining).toBeNull();
});
