import type { MoveReason } from "./judgement.ts";
import type { Model } from "./model.ts";
import type { AuditDraft } from "./rows.ts";

/** A session that a pass sends from one instance to another because of the evidence. */
export interface Move {
  readonly device: string;
  readonly from: string;
  readonly to: string;
  readonly reason: MoveReason;
}

/** One entry for each instance that sessions leave and each reason, however many sessions do. */
export function auditOfMoves(moves: readonly Move[], model: Model, atMs: number): AuditDraft[] {
  const groups = new Map<string, Move[]>();
  for (const move of moves) {
    const group = groups.get(`${move.from}/${move.reason}`);
    if (group === undefined) groups.set(`${move.from}/${move.reason}`, [move]);
    else group.push(move);
  }
  const nameOf = (id: string) => model.instances.get(id)?.name ?? id;
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const to: Record<string, number> = {};
    for (const move of group) to[nameOf(move.to)] = (to[nameOf(move.to)] ?? 0) + 1;
    return {
      atMs,
      actor: "controller",
      action: "sessions.move",
      subject: `instance/${nameOf(first.from)}`,
      before: { sessions: model.sessionsOn(first.from).size },
      after: { reason: first.reason, moved: group.length, to },
    };
  });
}
