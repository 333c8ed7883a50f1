import { instancesMax } from "../../controller/core/decide-connector.ts";
import type { SessionRow } from "../../controller/core/rows.ts";
import type { DeviceHost } from "./device-host.ts";
import type { InstanceHost } from "./instance-host.ts";
import { capacityOf } from "./shape.ts";
import type { World } from "./world.ts";

/**
 * Who is where when nothing is wrong, worked out from the shape of the world alone: as many instances as the mode takes,
 * all Active; as many devices attached as there are addresses; each device served by the one instance it was told of.
 * Answers what is not so, or undefined.
 */
export function whatIsWrong(world: World): string | undefined {
  return (
    wrongInstance(world) ??
    wrongCount(world) ??
    firstOf(world.devices, (device) => wrongDevice(world, device))
  );
}

function wrongInstance(world: World): string | undefined {
  const { shape, instances, controller } = world;
  if (controller.fault !== undefined || controller.process === undefined) return "the controller is away";
  const expected = Math.min(instances.length, instancesMax[shape.mode]);
  const rows = controller.tables.all("instance").length;
  if (rows !== expected) return `${rows} instances are in, not ${expected}`;
  return firstOf(instances, (host) => {
    if (world.rowOf(host) === undefined) return wrongOutsider(host);
    const status = host.agent?.views(() => host.now).status().status;
    if (status !== "Active") return `${host.name} is ${status}`;
    return firstOf([...host.kernel.peers.values()], ({ session: id }) => {
      const session = controller.tables.get("session", id);
      const place = session?.place;
      const isHere = place?.is === "attached" && world.hostOf(place.instance) === host;
      return isHere ? undefined : `${host.name} serves ${id}, which is ${JSON.stringify(session)}`;
    });
  });
}

/** Who was told that it is removed lets nobody in. One that is merely unknown may have a controller that has lost its memory. */
function wrongOutsider({ name, kernel, removedIn, starts }: InstanceHost): string | undefined {
  const { size } = kernel.peers;
  return removedIn < starts || size === 0 ? undefined : `${name} is removed, and serves ${size}`;
}

function wrongCount(world: World): string | undefined {
  const { shape, devices, controller } = world;
  const instances = controller.tables.all("instance").length;
  return firstOf(shape.groups, (group, i) => {
    const members = devices.filter((_, j) => j % shape.groups.length === i);
    const expected = Math.min(members.length, instances * capacityOf(shape));
    const attached = members.filter((device) => sessionOf(world, device)?.place.is === "attached").length;
    // In active-standby one carries, and at most who had a path that worked on the other is there still.
    const isOneCarrying = shape.mode === "active-standby";
    const least = isOneCarrying ? Math.min(members.length, capacityOf(shape)) : expected;
    return attached >= least && attached <= expected
      ? undefined
      : `${attached} devices of ${group} are attached, not ${expected}`;
  });
}

function wrongDevice(world: World, device: DeviceHost): string | undefined {
  const session = sessionOf(world, device);
  const hold = device.device?.hold;
  const said = `${device.name} holds ${JSON.stringify(hold)}`;
  if (session?.place.is !== "attached") {
    return hold?.is === "waiting" ? undefined : `${said} and should wait: ${JSON.stringify(session)}`;
  }
  const { place, epoch } = session;
  const host = world.hostOf(place.instance);
  if (hold?.is !== "attached" || host === undefined) return `${said}, not ${JSON.stringify(session)}`;
  const { to } = hold;
  const isSame =
    to.session === session.id && to.epoch === epoch && to.ipv4 === place.ipv4 && to.ipv6 === place.ipv6;
  if (!isSame) return `${said}, not ${JSON.stringify(session)}`;
  if (device.kernel.carrier() !== host.kernel) return `${device.name} has no path by ${host.name}`;
  return firstOf(world.instances, (other: InstanceHost) => {
    const isServed = other.kernel.peers.has(device.kernel.publicKey);
    const isOut = world.rowOf(other) === undefined;
    return other === host || !isServed || isOut ? undefined : `${other.name} serves ${device.name}, too`;
  });
}

function sessionOf(world: World, device: DeviceHost): SessionRow | undefined {
  const id = world.deviceRowOf(device)?.id;
  return world.controller.tables.all("session").find((row) => row.device === id);
}

function firstOf<T>(items: readonly T[], of: (item: T, i: number) => string | undefined): string | undefined {
  for (const [i, item] of items.entries()) {
    const found = of(item, i);
    if (found !== undefined) return found;
  }
  return undefined;
}
