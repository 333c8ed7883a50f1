import type { DeviceHost } from "./device-host.ts";
import type { InstanceHost } from "./instance-host.ts";
import type { Blocked } from "./network.ts";
import type { Event, Way } from "./scenario.ts";
import { poolsOf } from "./shape.ts";
import type { Wish, World } from "./world.ts";

/** Makes an event happen now, and answers how to end it. */
export function happen(world: World, event: Event): () => void {
  if ("device" in event) {
    const host = world.devices[event.device - 1];
    return host === undefined ? nothing : onDevice(world, host, event);
  }
  if ("instance" in event) {
    const host = world.instances[event.instance - 1];
    const wish = world.wishes[event.instance - 1];
    return host === undefined || wish === undefined ? nothing : onInstance(world, host, wish, event);
  }
  const { controller } = world;
  switch (event.is) {
    case "controller killed":
      controller.kill(event.isWritten);
      return () => controller.start();
    case "controller's store":
      controller.fault = { is: event.fault, why: event.why };
      return () => {
        controller.fault = undefined;
      };
    case "service changed":
      world.command({ command: "resource.set", connector: "prod", resource: service(event.forMs) });
      return nothing;
  }
}

/** Nothing is wrong with anything any more; what an operator did by hand is taken back. */
export function heal(world: World): void {
  const { controller, instances, devices, shape, wishes } = world;
  controller.fault = undefined;
  controller.start();
  for (const [i, host] of instances.entries()) {
    host.diskFault = undefined;
    host.metadataFault = undefined;
    host.dataPathFault = undefined;
    host.diesAtWrite = undefined;
    host.wallOffsetMs = 0;
    // One that was used elsewhere is of no use: a new one is brought.
    if (world.rowOf(host) === undefined) host.disk.otp = undefined;
    const { pools, prefixes } = poolsOf(shape, i + 1);
    host.assign(prefixes, 0);
    const wish = wishes[i];
    if (wish !== undefined) Object.assign(wish, { pools, isDrained: false });
    open(host.control);
    open(host.kernel.data);
    host.boot();
    host.start();
    host.post({ kind: "hold", reason: "cli", isOn: false });
    world.network.changed(host);
  }
  for (const host of devices) {
    host.isDiskFull = false;
    host.isTunnelFailing = false;
    open(host.control);
    open(host.kernel.data);
    host.start();
    if (host.wants === "detached") host.want("attached");
    world.network.changed(host);
  }
}

type OnInstance = Extract<Event, { instance: number }>;
type OnDevice = Extract<Event, { device: number }>;

const nothing = () => {};

function onInstance(world: World, host: InstanceHost, wish: Wish, event: OnInstance): () => void {
  switch (event.is) {
    case "agent killed":
      host.kill();
      return () => host.start();
    case "agent stopped":
      host.stop();
      return () => host.start();
    case "host crashed":
      host.crash();
      return () => host.boot();
    case "agent dies at write":
      host.diesAtWrite = event.when;
      return () => {
        host.diesAtWrite = undefined;
        host.start();
      };
    case "instance unlinked":
      return block(host.control, event.way, () => world.network.changed(host));
    case "instance dark":
      return block(host.kernel.data, event.way, nothing);
    case "instance gone":
      return both(
        block(host.control, event.way, () => world.network.changed(host)),
        block(host.kernel.data, event.way, nothing),
      );
    case "instance's link cut":
      world.network.cut(host);
      return nothing;
    case "kernel changed by hand": {
      const [first] = host.kernel.peers.keys();
      if (first !== undefined) host.kernel.peers.delete(first);
      host.post({ kind: "dataPathNews" });
      return nothing;
    }
    case "disk":
      host.diskFault = event.fault;
      return () => {
        host.diskFault = undefined;
      };
    case "metadata":
      host.metadataFault = event.fault;
      return () => {
        host.metadataFault = undefined;
      };
    case "data path":
      host.dataPathFault = event.fault;
      return () => {
        host.dataPathFault = undefined;
      };
    case "clock set":
      host.wallOffsetMs += event.byMs;
      return nothing;
    case "prefixes taken":
      return takePrefixes(host);
    case "pools taken":
      return takePools(wish);
    case "pools and prefixes taken":
      return both(takePools(wish), takePrefixes(host));
    case "pools moved":
      return movePools(world, event);
    case "drained":
      wish.isDrained = true;
      host.drainedAtMs = world.agenda.nowMs;
      return () => {
        wish.isDrained = false;
        host.drainedAtMs = world.agenda.nowMs;
      };
    case "drained by hand":
      host.post({ kind: "hold", reason: "cli", isOn: true });
      host.drainedAtMs = world.agenda.nowMs;
      return () => {
        host.post({ kind: "hold", reason: "cli", isOn: false });
        host.drainedAtMs = world.agenda.nowMs;
      };
    case "removed": {
      const instance = world.rowOf(host)?.name;
      if (instance !== undefined) world.command({ command: "instance.remove", instance });
      return nothing;
    }
    case "password copied": {
      // Somebody kept a copy, and tries it on an instance that is out, or is put out for it.
      const other = world.instances[event.to - 1];
      const copy = world.passwords.get(host);
      if (other === undefined || copy === undefined) return nothing;
      const instance = world.rowOf(other)?.name;
      if (instance !== undefined) world.command({ command: "instance.remove", instance });
      world.giveOtp(other, copy);
      return () => {
        if (world.rowOf(other) === undefined) other.disk.otp = undefined;
      };
    }
  }
}

function onDevice(world: World, host: DeviceHost, event: OnDevice): () => void {
  switch (event.is) {
    case "device unlinked":
      return block(host.control, event.way, () => world.network.changed(host));
    case "device dark":
      return block(host.kernel.data, event.way, nothing);
    case "device gone":
      return both(
        block(host.control, event.way, () => world.network.changed(host)),
        block(host.kernel.data, event.way, nothing),
      );
    case "device killed":
      host.kill();
      return () => host.start();
    case "device's link cut":
      world.network.cut(host);
      return nothing;
    case "device's disk full":
      host.isDiskFull = true;
      return () => {
        host.isDiskFull = false;
      };
    case "device's tunnel fails":
      host.isTunnelFailing = true;
      return () => {
        host.isTunnelFailing = false;
      };
    case "logged out":
      host.want("detached");
      return () => host.want("attached");
    case "device removed": {
      const device = world.deviceRowOf(host)?.id;
      if (device !== undefined) world.command({ command: "device.remove", device });
      return nothing;
    }
    case "session ended": {
      const device = world.deviceRowOf(host)?.id;
      const session = world.controller.tables.all("session").find((row) => row.device === device)?.id;
      if (session !== undefined) world.command({ command: "session.end", session });
      return nothing;
    }
  }
}

function block(blocked: Blocked, way: Way, over: () => void): () => void {
  if (way !== "in") blocked.out = true;
  if (way !== "out") blocked.in = true;
  return () => {
    open(blocked);
    over();
  };
}

function open(blocked: Blocked): void {
  blocked.in = false;
  blocked.out = false;
}

function both(one: () => void, other: () => void): () => void {
  return () => {
    one();
    other();
  };
}

function takePrefixes(host: InstanceHost): () => void {
  const { prefixes } = host;
  host.assign([], 1_000);
  return () => host.assign(prefixes.length > 0 ? prefixes : host.prefixes, 1_000);
}

function takePools(wish: Wish): () => void {
  const { pools } = wish;
  wish.pools = {};
  return () => {
    if (Object.keys(wish.pools).length === 0) wish.pools = pools;
  };
}

/** First from where it is, and when that is stored, to where it goes: AWS, metadata and controller. */
function movePools(world: World, { instance, to }: Extract<Event, { is: "pools moved" }>): () => void {
  const { shape, wishes, instances } = world;
  const [from, target] = [wishes[instance - 1], wishes[to - 1]];
  const [fromHost, toHost] = [instances[instance - 1], instances[to - 1]];
  if (from === undefined || target === undefined || from === target) return nothing;
  const moved = poolsOf(shape, instance);
  const own = poolsOf(shape, to);
  from.pools = {};
  fromHost?.assign([], 1_000);
  world.agenda.after(3_000, () => {
    if (Object.keys(from.pools).length > 0) return;
    target.pools = Object.fromEntries(
      Object.entries(own.pools).map(([pool, { ipv4, ipv6 }]) => {
        const more = moved.pools[pool];
        return [pool, { ipv4: [...ipv4, ...(more?.ipv4 ?? [])], ipv6: [...ipv6, ...(more?.ipv6 ?? [])] }];
      }),
    );
    toHost?.assign([...own.prefixes, ...moved.prefixes], 1_000);
  });
  return () => {
    target.pools = own.pools;
    toHost?.assign(own.prefixes, 1_000);
    from.pools = moved.pools;
    fromHost?.assign(moved.prefixes, 3_000);
  };
}

function service(number: number) {
  return {
    ...{ name: "web", destination: { cidr: `10.${number % 200}.0.0/16` }, protocol: "tcp", ports: [] },
    ...{ serverInitiated: false, groups: ["staff"] },
  } as const satisfies { protocol: "tcp" } & Record<string, unknown>;
}
