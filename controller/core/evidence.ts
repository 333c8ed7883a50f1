import type { Move } from "./moves.ts";
import type { World } from "./world.ts";

/** Judges the instances about which something is new, and has the sessions of those with another verdict looked at. */
export function judgeInstances(world: World): void {
  const { looked, changed } = world.judge.run(world.now);
  for (const id of looked) {
    const connector = world.model.instances.get(id)?.connector;
    if (connector !== undefined) world.carriers.look(connector);
  }
  for (const id of changed) {
    world.placer.lookAt(id);
    world.placer.wake(world.now);
    const verdict = world.judge.verdictOf(id);
    const instance = world.model.instances.get(id)?.name ?? id;
    const facts = { instance, verdict: verdict.is, ...("why" in verdict ? { why: verdict.why } : {}) };
    const level = verdict.is === "gone" ? "warn" : "info";
    world.emit({ do: "tell", level, text: "instance judged anew", facts });
  }
}

/** Stored moves: counted, and remembered where a device may not move again at once. */
export function countMoves({ model, judge, totals, now }: World, moves: readonly Move[]): void {
  for (const move of moves) {
    if (move.to === undefined) continue;
    totals.moved[move.reason] += 1;
    if (model.instances.has(move.from)) judge.moved(move, now);
  }
}
