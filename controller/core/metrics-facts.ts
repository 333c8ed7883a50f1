import type { InstanceStatus } from "../../protocol/view.ts";
import type { MetricsFacts } from "./admin.ts";
import { statusOf } from "./show.ts";
import { waitingViews } from "./show-waiting.ts";
import type { World } from "./world.ts";

export function metricsFacts({ model, fleet, peers, pipeline, totals }: World): MetricsFacts {
  const instances: Record<InstanceStatus, number> = {
    Configured: 0,
    Offline: 0,
    Online: 0,
    Active: 0,
    Draining: 0,
  };
  for (const id of model.instances.keys()) instances[statusOf(fleet.instance(id))] += 1;
  return {
    links: peers.counts(),
    instances,
    sessions: model.sessionCounts(),
    waiting: waitingViews(model),
    connectors: model.connectors.size,
    devices: model.devices.size,
    queued: pipeline.length,
    totals: { ...totals, moved: { ...totals.moved }, refused: { ...totals.refused } },
  };
}
