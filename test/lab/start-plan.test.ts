import { expect, test } from "vitest";
import type { DeviceView, InstanceView } from "../../controller/core/views.ts";
import type { TunnelStatus } from "../../device/adapters/tunnel-file.ts";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import { PrefixTimeline } from "../../lab/imds/prefixes.ts";
import { groups, planDevices, planInstances, prefixesOf } from "../../lab/plan.ts";
import { lacks } from "../../lab/readiness.ts";

test("the prefixes of 64 instances are such as EC2 assigns, and no two are the same", () => {
  const plans = planInstances(64);
  for (const plan of plans) {
    const timeline = new PrefixTimeline(instanceNumbered(plan.ordinal).interfaces[0]);
    for (const prefix of prefixesOf(plan)) timeline.assign(prefix, 0, 0);
  }
  const all = plans.flatMap(prefixesOf);
  expect(new Set(all).size).toBe(all.length);
});

test("three instances: one of them carries both pools, as in the product's table", () => {
  const pools = planInstances(3).map((plan) => Object.keys(plan.pools));
  expect(pools).toEqual([["Pool1"], ["Pool1", "Pool2"], ["Pool1"]]);
  expect(planInstances(1).map((plan) => Object.keys(plan.pools))).toEqual([["Pool1", "Pool2"]]);
});

test("ten devices are of two groups and have names of their own", () => {
  const devices = planDevices(100);
  expect(new Set(devices.map(({ name }) => name)).size).toBe(100);
  const counts = groups.map(({ group }) => devices.slice(0, 10).filter((it) => it.group === group).length);
  expect(counts).toEqual([6, 4]);
});

test("says what is missing, and whose process should have done it", () => {
  const wanted = {
    instances: [1, 2, 3].map((n) => ({ ec2: instanceNumbered(n), process: { name: `agent-${n}` } })),
    devices: [
      ...["a", "b", "c", "d"].map((name) => ({ process: { name }, tunnel: undefined })),
      { process: { name: "e" }, tunnel: () => tunnelOf("e") },
      { process: { name: "f" }, tunnel: () => tunnelOf("another") },
      { process: { name: "g" }, tunnel: () => undefined },
    ],
  };
  const tunnelOf = (session: string) =>
    ({ state: "on", path: { session, epoch: 1 }, problem: null }) as unknown as TunnelStatus;
  const condition = { code: "pool.none", severity: "warning", sinceMs: 0, text: "No pool", hint: "" };
  const instances = [
    { providerInstanceId: instanceNumbered(1).instanceId, name: "con-1", status: "Active", conditions: [] },
    {
      providerInstanceId: instanceNumbered(2).instanceId,
      name: "con-2",
      status: "Online",
      conditions: [condition],
    },
  ] as unknown as InstanceView[];
  const devices = [
    { name: "a", session: { state: "attached" } },
    { name: "b", session: { state: "waiting", code: "placement.no-instance" } },
    { name: "c", session: null },
    ...["e", "f", "g"].map((name) => ({ name, session: { state: "attached", id: name, epoch: 1 } })),
  ] as unknown as DeviceView[];
  expect(lacks(wanted, instances, devices)).toEqual([
    { process: "agent-2", text: "instance con-2 is Online, not Active\n    pool.none: No pool" },
    { process: "agent-3", text: `instance ${instanceNumbered(3).instanceId} has not enrolled` },
    { process: "b", text: "device b waits for an instance: placement.no-instance" },
    { process: "c", text: "device c has no session" },
    { process: "d", text: "device d has not joined" },
    { process: "f", text: "the tunnel of device f does not carry its session" },
    { process: "g", text: "device g does not say what its tunnel does" },
  ]);
});
