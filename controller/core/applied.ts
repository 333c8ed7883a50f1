import { cut } from "./links.ts";
import type { CarrierRow, Change } from "./rows.ts";
import type { World } from "./world.ts";

/** What a stored change means beyond the model: who is gone is cut off, and whoever waits may have a place now. */
export function applied(world: World, change: Change): void {
  switch (change.table) {
    case "instance":
      if ("remove" in change) {
        cutOff(world, "agent", change.remove);
        world.fleet.instanceForgotten(change.remove);
        world.judge.forget(change.remove);
        for (const connector of world.model.carriers.keys()) world.carriers.look(connector);
      } else world.judge.look(change.put.id);
      world.placer.wake(world.now);
      break;
    case "device":
      if ("remove" in change) {
        cutOff(world, "device", change.remove);
        world.fleet.deviceForgotten(change.remove);
        world.judge.hear(change.remove, world.now);
        world.judge.lone.forget(change.remove);
      }
      break;
    case "connector":
      if ("put" in change) world.carriers.look(change.put.name);
      world.placer.wake(world.now);
      break;
    case "carrier":
      if ("put" in change) carriesNow(world, change.put);
      world.placer.wake(world.now);
      break;
    case "restart": {
      const row = "put" in change ? change.put : undefined;
      for (const { instance } of row?.steps ?? []) world.judge.look(instance);
      break;
    }
    case "session":
    case "group":
    case "otp":
    case "deviceCode":
    case "token":
    case "counter":
      break;
  }
}

/** What is elsewhere comes over if it is to. */
function carriesNow({ model, judge, placer }: World, { name, instance }: CarrierRow): void {
  for (const { id } of model.instancesOf(name)) {
    judge.relieved(id);
    if (id !== instance) placer.lookAt(id);
  }
}

function cutOff(world: World, role: "agent" | "device", id: string): void {
  const peer = world.peers.of(role, id);
  if (peer !== undefined) cut(world, peer, "link.removed", "removed");
}
