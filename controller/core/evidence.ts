import type { Move } from "./moves.ts";
import type { World } from "./world.ts";

/** Judges the instances about which something is new, and has the sessions of those with another verdict looked at. */
export function judgeInstances(world: World): void {
  for (const id of world.judge.run(world.now)) {
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
export function countMoves({ judge, totals, now }: World, moves: readonly Move[]): void {
  for (const move of moves) {
    totals.moved[move.reason] += 1;
    judge.moved(move, now);
  }
}
