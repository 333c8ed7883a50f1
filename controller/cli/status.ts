import { exitCodes } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import { type AskOptions, refuse, show, withClient } from "./ask.ts";
import { statusText, troublesOf } from "./text/status.ts";

/** The whole group at a glance: connectors, and every condition that a person should know. */
export async function status(world: World, options: AskOptions): Promise<number> {
  return await withClient(world, options, async (client) => {
    const [ready, connectors, instances] = await Promise.all([
      client.readiness(),
      client.call("connector.list", {}),
      client.call("instance.list", { query: {} }),
    ]);
    if (!ready.ok) return refuse(world, options, ready.failure);
    if (!connectors.ok) return refuse(world, options, connectors.failure);
    if (!instances.ok) return refuse(world, options, instances.failure);
    const group = { connectors: connectors.value.items, instances: instances.value.items };
    const troubles = troublesOf(group);
    show(world, options, { ready: true, ...group, troubles }, (width) => statusText(group, troubles, width));
    return troubles.length === 0 ? exitCodes.fine : exitCodes.failed;
  });
}
