import { expect, test } from "vitest";
import { deviceTable, deviceText } from "../../controller/cli/text/devices.ts";
import type { DeviceView } from "../../controller/core/views.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, withConnector } from "./peers.ts";

const sinceMs = Date.parse("2026-10-28T10:48:06Z");

function world() {
  const h = new Harness();
  withConnector(h);
  const { agent, name } = activeInstance(h);
  const { device, id } = attachedDevice(h);
  const session = h.views.device(id)?.session?.id ?? "";
  const says = (verdict: "alive" | "dead", over: object = {}) =>
    device.report({ path: { session, epoch: 1, instance: name, verdict, sinceMs, ...over } });
  return { h, agent, name, device, id, session, says, path: () => h.views.device(id)?.path };
}

test("what a device says of its path is shown, as it changes, and no longer when it is taken back", () => {
  const { device, name, says, path } = world();
  expect(path()).toBeNull();
  says("alive");
  expect(path()).toEqual({ instance: name, verdict: "alive", sinceMs });
  says("dead");
  expect(path()).toMatchObject({ verdict: "dead" });
  device.report({ path: undefined });
  expect(path()).toBeNull();
});

test("a word about another epoch, session or instance is not the state of this one", () => {
  const { says, path, id } = world();
  says("dead", { epoch: 2 });
  expect(path()).toBeNull();
  says("dead", { session: id });
  expect(path()).toBeNull();
  says("dead", { instance: "aws-us-vir-con-09999" });
  expect(path()).toBeNull();
});

test("a session that moves has no path until its device speaks of the new one", () => {
  const { h, agent, says, path, session, id } = world();
  const other = activeInstance(h);
  says("dead");
  agent.report({ [`session/${session}`]: { outcome: "ended", epoch: 1, code: "lease.quarantined" } });
  expect(h.views.device(id)?.session).toMatchObject({ epoch: 2, instance: other.name });
  expect(path()).toBeNull();
  says("alive", { epoch: 2, instance: other.name });
  expect(path()).toMatchObject({ instance: other.name, verdict: "alive" });
});

test("the last word stays while the link is down, and moves nothing", () => {
  const { h, device, says, path, id } = world();
  says("dead");
  h.post({ kind: "disconnected", link: device.link });
  expect(path()).toMatchObject({ verdict: "dead" });
  expect(h.views.device(id)?.session).toMatchObject({ state: "attached", epoch: 1 });
});

test("a verdict of an unknown kind is refused as any wrong shape", () => {
  const { says, path } = world();
  says("alive", { verdict: "sleepy" });
  expect(path()).toBeNull();
});

test("the text for people", () => {
  const { h, id, name, says } = world();
  says("dead");
  const view = h.views.device(id) as DeviceView;
  expect(deviceTable([view], undefined)).toContain("dead");
  expect(deviceText(view)).toContain(`dead to ${name} since 2026-10-28 10:48:06Z`);
  expect(deviceText({ ...view, connected: false })).toContain(", when it was last heard");
  expect(deviceText({ ...view, path: null })).toMatch(/Path +not reported/);
});
