import type { OneTimeUse } from "../../controller/core/rows.ts";
import { nothing, open } from "./blocked.ts";
import { happenToDevice } from "./happen-device.ts";
import { happenToInstance } from "./happen-instance.ts";
import type { InstanceHost } from "./instance-host.ts";
import type { Event } from "./scenario.ts";
import { poolsOf } from "./shape.ts";
import type { World } from "./world.ts";

/** Makes an event happen now, and answers how to end it. */
export function happen(world: World, event: Event): () => void {
  if ("device" in event) {
    const host = world.devices[event.device - 1];
    return host === undefined ? nothing : happenToDevice(world, host, event);
  }
  if ("instance" in event) {
    const host = world.instances[event.instance - 1];
    const wish = world.wishes[event.instance - 1];
    return host === undefined || wish === undefined ? nothing : happenToInstance(world, host, wish, event);
  }
  return happenToGroup(world, event);
}

function happenToGroup(world: World, event: OfGroup): () => void {
  const { controller, instances } = world;
  switch (event.is) {
    case "controller killed":
      controller.kill(event.isWritten);
      return () => controller.start();
    case "controller's store":
      controller.fault = { is: event.fault, why: event.why };
      return () => {
        controller.fault = undefined;
      };
    case "controller restored": {
      const backup = controller.tables.copy();
      const restore = () => controller.restore(backup.copy());
      // Whoever was moved since has a higher epoch then, and where the backup had it.
      if (event.twice) world.agenda.after(Math.floor(event.forMs / 2), () => world.isHealed || restore());
      return restore;
    }
    case "controller's clock set":
      controller.wallOffsetMs += event.byMs;
      return nothing;
    case "service changed":
      world.command({ command: "resource.set", connector: "prod", resource: service(event.forMs) });
      return nothing;
    case "service removed":
      world.command({ command: "resource.remove", connector: "prod", resource: "web" });
      return nothing;
    case "leases changed": {
      const groups = world.groupPools(event.minutes);
      world.command({ command: "connector.update", connector: "prod", change: { groups } });
      return nothing;
    }
    case "failed over":
      world.command({ command: "connector.failover", connector: "prod" });
      return moving(instances, "failover", nothing);
    case "restarted one by one":
      world.command({ command: "connector.restart", connector: "prod" });
      return moving(instances, "restart", () =>
        world.command({ command: "connector.restart.cancel", connector: "prod" }),
      );
    case "passwords revoked":
      for (const { id } of controller.tables.all("otp").filter(isOpen)) {
        world.command({ command: "otp.revoke", otp: id });
      }
      return nothing;
    case "codes revoked":
      for (const { id } of controller.tables.all("deviceCode").filter(isOpen)) {
        world.command({ command: "deviceCode.revoke", deviceCode: id });
      }
      return nothing;
  }
}

type OfGroup = Exclude<Event, { readonly device: number } | { readonly instance: number }>;

/** Whoever is on one of them may be moved until it is over. */
function moving(instances: readonly InstanceHost[], reason: string, over: () => void): () => void {
  for (const host of instances) host.drain(reason, true);
  return () => {
    over();
    for (const host of instances) host.drain(reason, false);
  };
}

function isOpen({ use }: { readonly use: OneTimeUse }): boolean {
  return use.is === "open";
}

/** Nothing is wrong with anything any more; what an operator did by hand is taken back. */
export function heal(world: World): void {
  world.isHealed = true;
  world.command({ command: "connector.restart.cancel", connector: "prod" });
  const { controller, instances, devices, shape, wishes } = world;
  controller.fault = undefined;
  controller.wallOffsetMs = 0;
  controller.start();
  for (const [i, host] of instances.entries()) {
    host.diskFault = undefined;
    host.metadata.fault = undefined;
    host.metadata.notices.clear();
    for (const reason of [...host.drains]) host.drain(reason, false);
    host.dataPathFault = undefined;
    host.diesAtWrite = undefined;
    host.wallOffsetMs = 0;
    // One that was used elsewhere is of no use: a new one is brought.
    const isAnothers = host.disk.otp?.text !== world.passwords.get(host);
    if (isAnothers || world.rowOf(host) === undefined) host.disk.otp = undefined;
    const { pools, prefixes } = poolsOf(shape, i + 1);
    host.assign(prefixes, 0);
    const wish = wishes[i];
    if (wish !== undefined) Object.assign(wish, { pools, isDrained: false });
    open(host.control);
    open(host.kernel.data);
    host.boot();
    // Only a new start brings one back that has left.
    const hasLeft = host.agent?.views(() => host.now).status().departure !== undefined;
    // Nor does one ask again soon that was removed before the controller forgot about that.
    const wasRestored = Number.isFinite(controller.restoredAtMs);
    if (hasLeft || wasRestored) host.kill();
    host.start();
    host.post({ kind: "hold", reason: "cli", isOn: false });
    world.network.changed(host);
  }
  for (const host of devices) {
    host.isDiskFull = false;
    host.isTunnelFailing = false;
    // A code that was revoked meanwhile is of no use either.
    if (world.deviceRowOf(host) === undefined) host.code = undefined;
    // One that was removed stays out, also when the controller has forgotten that: its user needs a new code.
    else if (host.device?.linkState.kind === "stopped" || host.saved.standing.is === "disowned")
      world.invite(host);
    open(host.control);
    open(host.kernel.data);
    host.start();
    if (host.wants === "detached") host.want("attached");
    world.network.changed(host);
  }
}

function service(number: number) {
  return {
    ...{ name: "web", destination: { cidr: `10.${number % 200}.0.0/16` }, protocol: "tcp", ports: [] },
    ...{ serverInitiated: false, groups: ["staff"] },
  } as const satisfies { protocol: "tcp" } & Record<string, unknown>;
}
