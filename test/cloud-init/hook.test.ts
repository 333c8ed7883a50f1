import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { LabInstance } from "../../lab/instance.ts";
import { Lab } from "../../lab/lab.ts";
import { connectorName, planDevices, planInstances } from "../../lab/plan.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { type Aws, startAws, tokenSecret } from "./hook-fixture.ts";

/** The function of the Terraform module, run as Lambda runs it, against a real controller and a real agent. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const folder = temporaryFolder();
const plans = planInstances(3);
let lab: Lab;
let aws: Aws;

beforeAll(async () => {
  lab = await Lab.start({ folder: folder.path });
  aws = await startAws(readFileSync(lab.controller.caFile, "utf8"));
  aws.stores.secrets.set(tokenSecret, readFileSync(lab.controller.tokenFile, "utf8"));
});

afterAll(async () => {
  await aws[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const settings = (over: Record<string, string> = {}) => ({
  CONNECTOR: connectorName,
  CONTROLLER_URL: lab.controller.site.url,
  PARAMETER_PATH: `/connector/${connectorName}`,
  PARAMETER_KEY: "",
  POOL: "Pool1",
  IPV4_PREFIX_COUNT: "1",
  IPV6_PREFIX_COUNT: "1",
  ...over,
});

function event(kind: string, id: string, token = "t1") {
  const detail = {
    EC2InstanceId: id,
    AutoScalingGroupName: "connector-lab",
    LifecycleHookName: "connector-lab-launch",
    LifecycleActionToken: token,
  };
  return { source: "aws.autoscaling", "detail-type": kind, detail };
}

const launching = "EC2 Instance-launch Lifecycle Action";
const terminating = "EC2 Instance-terminate Lifecycle Action";
const terminated = "EC2 Instance Terminate Successful";

test("a launch: OTP, enrolment, pools, Active, in service; its end: forgotten, and so again", async () => {
  const [plan] = plans;
  if (plan === undefined) throw new RangeError("no plan");
  const { ec2 } = await lab.prepare(plan);
  const parameter = `/connector/${connectorName}/${ec2.instanceId}`;
  const running = aws.invoke(event(launching, ec2.instanceId), 85_000, settings());
  const otp = await until("the OTP", () => aws.stores.parameters.get(parameter), 30_000);
  const instance = await lab.launch(plan, { otp });
  const ran = await running;
  expect(ran.code, ran.err).toBe(0);
  expect(aws.completed).toMatchObject([
    { Action: "CompleteLifecycleAction", LifecycleActionToken: "t1", LifecycleActionResult: "CONTINUE" },
  ]);
  expect(ran.lines.at(-1)).toEqual({ msg: "in service", instance: ec2.instanceId });
  expect(JSON.stringify(ran.lines)).not.toContain(otp);
  expect(aws.stores.parameters.has(parameter)).toBe(false);
  const view = await lab.viewOf(instance);
  expect(view).toMatchObject({ status: "Active" });
  expect(view?.pools.find(({ pool }) => pool === "Pool1")).toMatchObject(plan.pools.Pool1 ?? {});

  // Delivered twice: no second OTP, and the action that is over is no failure.
  const again = await aws.invoke(event(launching, ec2.instanceId), 85_000, settings());
  expect(again).toMatchObject({ code: 0, lines: [{ msg: "in service" }] });
  expect(aws.completed).toHaveLength(1);
  expect(aws.stores.parameters.size).toBe(0);

  await instance.process.stop();
  for (const name of [view?.name, undefined]) {
    const { code, lines, err } = await aws.invoke(event(terminated, ec2.instanceId), 85_000, settings());
    expect(code, err).toBe(0);
    expect(lines).toEqual([
      { msg: "removed", instance: ec2.instanceId, ...(name === undefined ? {} : { name }) },
    ]);
  }
  expect(await lab.viewOf(instance)).toBeUndefined();
});

test("the group takes an instance away: in no hurry while somebody is on it, and at once when nobody is", async () => {
  const [, plan1, plan2] = plans;
  const [device] = planDevices(1);
  if (device === undefined) throw new RangeError("no plan");
  const [first, second] = await Promise.all([lab.launch(plan1), lab.launch(plan2)]);
  await lab.configurePools(first);
  await lab.addDevice(device);
  await until("attached", async () => (await lab.viewOf(first))?.sessions === 1, 30_000);
  const end = ({ ec2 }: LabInstance, token: string, remainingMs = 60_000) =>
    aws.invoke(event(terminating, ec2.instanceId, token), remainingMs, settings());
  const instance = first.ec2.instanceId;
  const completed = aws.completed.length;

  expect((await end(first, "t3", 32_000)).lines).toEqual([
    { msg: "waits", instance, for: "its drain" },
    { msg: "left alone", instance, waitedFor: "its drain" },
  ]);
  first.imds.asgState("Terminated");
  await until("it drains", async () => (await lab.viewOf(first))?.draining?.left === 1, 30_000);
  // Nobody else has a place for its user yet.
  expect((await end(first, "t3", 32_000)).lines.at(-1)).toEqual({
    msg: "left alone",
    instance,
    waitedFor: "who is left on it",
  });
  expect(aws.completed).toHaveLength(completed);
  await lab.configurePools(second);
  const ran = await end(first, "t3");
  expect(ran.code, ran.err).toBe(0);
  expect(ran.lines.at(-1)).toEqual({ msg: "nobody is left", instance });
  expect(aws.completed.slice(completed)).toMatchObject([
    { LifecycleActionToken: "t3", LifecycleActionResult: "CONTINUE" },
  ]);
  expect((await lab.viewOf(second))?.sessions).toBe(1);

  // One that is dead sees nothing, and has nobody.
  const [{ id } = { id: "" }] = await lab.listDevices();
  await lab.controller.admin.call("device.remove", { params: { device: id } });
  await second.process.halt();
  const dead = await end(second, "t4");
  expect(dead.lines.at(-1)).toEqual({ msg: "nobody is left", instance: second.ec2.instanceId });
});

test("an instance that does not come: given up in time, its OTP and the parameter with it", async () => {
  const id = "i-0aef45551f04d30bc";
  const ran = await aws.invoke(event(launching, id, "t2"), 34_000, settings());
  expect(ran.code, ran.err).toBe(0);
  expect(ran.lines).toEqual([
    { msg: "waits", instance: id, for: "enrolment" },
    { msg: "given up", instance: id, waitedFor: "enrolment" },
  ]);
  expect(aws.completed.at(-1)).toMatchObject({
    LifecycleActionToken: "t2",
    LifecycleActionResult: "ABANDON",
  });
  expect(aws.stores.parameters.size).toBe(0);
  const { items } = await lab.controller.admin.call("otp.list", { query: {} });
  expect(items.filter(({ state }) => state === "open")).toEqual([]);
});

test.each<[what: string, over: () => Record<string, string>, says: RegExp]>([
  ["a connector that is not there", () => ({ CONNECTOR: "nowhere" }), /^the controller refuses: .*\[admin\./],
  ["a controller that is away", () => ({ CONTROLLER_URL: "https://127.0.0.1:1" }), /ECONNREFUSED/],
  ["no token", () => ({ ADMIN_TOKEN_SECRET: "none" }), /can't find the specified secret/],
])("%s is said, tried again, and then given up", async (_what, over, says) => {
  const ran = await aws.invoke(
    event(launching, "i-0aef45551f04d30bc", says.source),
    31_000,
    settings(over()),
  );
  expect(ran.code, ran.err).toBe(0);
  expect(ran.lines[0]).toMatchObject({ msg: "waits", for: expect.stringMatching(says) });
  expect(aws.completed.at(-1)).toMatchObject({ LifecycleActionResult: "ABANDON" });
});

test("an end that the controller does not hear of fails, so that Lambda tries again", async () => {
  const ran = await aws.invoke(
    event(terminated, "i-0aef45551f04d30bc"),
    31_000,
    settings({ CONTROLLER_URL: "https://127.0.0.1:1" }),
  );
  expect(ran.code).not.toBe(0);
});
