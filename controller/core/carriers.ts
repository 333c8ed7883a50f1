import { success } from "../../protocol/failures.ts";
import { type CarrierReason, carrierDeadline, otherCarrier, type Sight } from "./carrier.ts";
import { type CarrierRow, type Plan, put } from "./rows.ts";
import { Timers } from "./timers.ts";
import type { World } from "./world.ts";

/** The active-standby connectors about whose instances something is new. */
export class Carriers {
  /** BOUNDED: connectors. */
  readonly #dirty = new Set<string>();
  readonly #timers = new Timers();
  /** A decision about them is in the pipeline. BOUNDED: connectors. */
  readonly #queued = new Set<string>();

  look(connector: string): void {
    this.#dirty.add(connector);
  }

  lookAt(connector: string, atMs: number | undefined): void {
    if (atMs === undefined) this.#timers.delete(connector);
    else this.#timers.set(connector, atMs);
  }

  take(nowMs: number): readonly string[] {
    for (const connector of this.#timers.take(nowMs)) this.#dirty.add(connector);
    const free = [...this.#dirty].filter((connector) => !this.#queued.has(connector));
    for (const connector of free) this.#dirty.delete(connector);
    return free;
  }

  queued(connector: string, isQueued: boolean): void {
    if (isQueued) this.#queued.add(connector);
    else this.#queued.delete(connector);
  }

  nextDeadline(): number | undefined {
    return this.#timers.next();
  }
}

/** Lets another instance carry where the one that did cannot. Stored before a pass sends sessions there. */
export function decideCarriers(world: World): void {
  const { carriers, model, pipeline, settings } = world;
  for (const connector of carriers.take(world.now.monotonicMs)) {
    if (model.connectors.get(connector)?.mode !== "active-standby") continue;
    const current = model.carriers.get(connector);
    carriers.lookAt(connector, carrierDeadline(current, sightOf(world)));
    if (otherCarrier(connector, current, sightOf(world)) === undefined) continue;
    carriers.queued(connector, true);
    pipeline.add({
      decide: () =>
        success({ plan: planOf(world, connector), done: () => carriers.queued(connector, false) }),
      failed: () => {
        carriers.queued(connector, false);
        carriers.lookAt(connector, world.now.monotonicMs + settings.retryStoreMs);
      },
    });
  }
}

function sightOf({ model, fleet, judge, settings, now }: World): Sight {
  const verdictOf = (instance: string) => judge.ownVerdictOf(instance);
  return { model, fleet, verdictOf, graceMs: settings.linkGraceMs, nowMs: now.monotonicMs };
}

function planOf(world: World, connector: string): Plan {
  const { model, now } = world;
  const current = model.carriers.get(connector);
  const isMeant = model.connectors.get(connector)?.mode === "active-standby";
  const choice = isMeant ? otherCarrier(connector, current, sightOf(world)) : undefined;
  if (choice === undefined) return { changes: [], audit: [] };
  const why = choice.reason === "first" ? "first" : "takeover";
  const row: CarrierRow = { name: connector, instance: choice.instance, sinceMs: now.wallMs, why };
  return { changes: [put("carrier", row)], audit: [auditOf(world, current, row, choice.reason)] };
}

function auditOf(
  { model, now }: World,
  before: CarrierRow | undefined,
  { name, instance }: CarrierRow,
  reason: CarrierReason,
) {
  const nameOf = (id: string) => model.instances.get(id)?.name ?? id;
  return {
    atMs: now.wallMs,
    actor: "controller",
    action: "connector.carrier",
    subject: `connector/${name}`,
    before: before === undefined ? null : { carrier: nameOf(before.instance) },
    after: { carrier: nameOf(instance), reason },
  };
}
