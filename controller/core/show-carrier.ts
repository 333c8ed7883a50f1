import type { Model } from "./model.ts";
import type { ConnectorRow } from "./rows.ts";
import type { ConnectorView } from "./views.ts";

/** Which instance carries, since when and why, and what of the connector it does not carry. */
export function carrierView({ name }: ConnectorRow, model: Model): ConnectorView["carrier"] {
  const carrier = model.carriers.get(name);
  const instance = carrier && model.instances.get(carrier.instance);
  if (carrier === undefined || instance === undefined) return null;
  const others = model.instancesOf(name).filter(({ id }) => id !== instance.id);
  return {
    instance: instance.name,
    sinceMs: carrier.sinceMs,
    why: carrier.why,
    sessionsElsewhere: others.reduce((sum, { id }) => sum + model.sessionsOn(id).size, 0),
  };
}
