import type { Model } from "./model.ts";
import type { WaitingView } from "./views.ts";

/** Who has no place, by group and reason. Looks at those who wait alone. */
export function waitingViews(model: Model): WaitingView[] {
  const counts = new Map<string, WaitingView>();
  for (const id of model.waiting) {
    const session = model.sessions.get(id);
    const group = session && model.devices.get(session.device)?.group;
    if (session?.place.is !== "waiting" || group === undefined) continue;
    const { code } = session.place;
    const key = `${group}/${code}`;
    const others = counts.get(key);
    counts.set(key, { group, code, sessions: (others?.sessions ?? 0) + 1 });
  }
  return [...counts.values()].toSorted((a, b) => (`${a.group}/${a.code}` < `${b.group}/${b.code}` ? -1 : 1));
}
