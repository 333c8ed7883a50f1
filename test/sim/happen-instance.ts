import { block, both, nothing } from "./blocked.ts";
import type { InstanceHost } from "./instance-host.ts";
import type { NoticeKind } from "./metadata.ts";
import type { Event } from "./scenario.ts";
import { poolsOf } from "./shape.ts";
import type { Wish, World } from "./world.ts";

export function happenToInstance(
  world: World,
  host: InstanceHost,
  wish: Wish,
  event: Extract<Event, { instance: number }>,
): () => void {
  switch (event.is) {
    case "agent killed":
      host.kill();
      return () => host.start();
    case "agent stopped":
      host.stop();
      return () => host.start();
    case "agent's store lost":
      host.loseStore();
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
      host.metadata.fault = event.fault;
      return () => {
        host.metadata.fault = undefined;
      };
    case "noticed by AWS":
      return notice(host, event.notice);
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
      host.drain("admin", true);
      return () => {
        wish.isDrained = false;
        host.drain("admin", false);
      };
    case "drained by hand":
      host.post({ kind: "hold", reason: "cli", isOn: true });
      host.drain("cli", true);
      return () => {
        host.post({ kind: "hold", reason: "cli", isOn: false });
        host.drain("cli", false);
      };
    case "told to leave":
      host.post({ kind: "leave", forMs: 5_000 });
      host.drain("shutdown", true);
      return () => {
        host.kill();
        host.start();
        host.drain("shutdown", false);
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
/** A spot instance has two minutes; what it was told may be taken back. */
function notice(host: InstanceHost, kind: NoticeKind): () => void {
  host.metadata.notices.set(kind, host.now.wallMs + 120_000);
  host.drain(kind, true);
  return () => {
    host.metadata.notices.delete(kind);
    host.drain(kind, false);
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
