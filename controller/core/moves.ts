import type { SessionOutcome } from "../../protocol/state.ts";
import type { DeviceFacts } from "./fleet.ts";
import { type MoveReason, reasonOf, type Verdict } from "./judgement.ts";
import type { Model } from "./model.ts";
import type { AuditDraft, Lost, SessionRow } from "./rows.ts";

/** A session that had a place and is sent to another. */
export interface Move {
  readonly device: string;
  /** The instance that it leaves, or has lost before. */
  readonly from: string;
  /** undefined: nowhere yet. */
  readonly to: string | undefined;
  readonly reason: MoveReason;
  /** What the instance said, where that is the reason. */
  readonly code?: string | undefined;
}

/** Why a pass may have changed a session. */
export interface Why {
  readonly outcome: SessionOutcome | undefined;
  /** About an instance, as this pass sees it. */
  readonly verdictOf: (instance: string) => Verdict;
  readonly device: DeviceFacts | undefined;
  readonly model: Model;
}

/** How a session moves from one row to the next, if it does. One that was never granted is sought a place, not moved. */
export function moveOf(before: SessionRow, after: SessionRow, why: Why): Move | undefined {
  const { device, place: from, lost } = before;
  const { outcome } = why;
  const to = after.place.is === "waiting" ? undefined : after.place.instance;
  if (from.is === "waiting") {
    if (lost === undefined || to === undefined) return undefined;
    return { device, from: lost.instance, to, reason: lost.reason, code: lost.code };
  }
  const isNamed = from.is === "attached" || lost !== undefined;
  if (!isNamed || before.epoch === after.epoch) return undefined;
  if (to === from.instance) return claimed(before, to, why);
  if (outcome !== undefined && outcome.outcome !== "granted" && outcome.epoch === before.epoch) {
    return { device, from: from.instance, to, reason: outcome.outcome, code: outcome.code };
  }
  return { device, from: from.instance, to, reason: reasonOf(why.verdictOf(from.instance)) };
}

/** The row that remembers what was lost until the session is granted anew. */
export function remembering(before: SessionRow, after: SessionRow, move: Move | undefined): SessionRow {
  if (after.place.is === "attached") return after.lost === undefined ? after : { ...after, lost: undefined };
  const isLost = move !== undefined && before.place.is !== "waiting" && move.from !== move.to;
  if (!isLost) return after;
  const lost: Lost = { instance: move.from, reason: move.reason, ...(move.code && { code: move.code }) };
  return { ...after, lost };
}

/** One entry for each instance that sessions leave and each reason, however many sessions do. */
export function auditOfMoves(moves: readonly Move[], model: Model, atMs: number): AuditDraft[] {
  const groups = new Map<string, Move[]>();
  for (const move of moves) {
    const key = `${move.from}/${move.reason}/${move.code ?? ""}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [move]);
    else group.push(move);
  }
  const nameOf = (id: string) => model.instances.get(id)?.name ?? id;
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const to: Record<string, number> = {};
    let waiting = 0;
    for (const move of group) {
      if (move.to === undefined) waiting += 1;
      else to[nameOf(move.to)] = (to[nameOf(move.to)] ?? 0) + 1;
    }
    const { reason, code } = first;
    return {
      atMs,
      actor: "controller",
      action: "sessions.move",
      subject: `instance/${nameOf(first.from)}`,
      before: { sessions: model.sessionsOn(first.from).size },
      after: {
        reason,
        ...(code === undefined ? {} : { code }),
        moved: group.length - waiting,
        ...(waiting === 0 ? {} : { waiting }),
        to,
      },
    };
  });
}

/** Its device was sent elsewhere by a database that is newer than this one, and comes back to what this one knows. */
function claimed({ device, id, epoch }: SessionRow, to: string, { device: facts, model }: Why) {
  const held = facts?.held;
  if (held?.session !== id || held.epoch <= epoch) return undefined;
  const from = model.instanceByName.get(held.instance)?.id ?? held.instance;
  return from === to ? undefined : ({ device, from, to, reason: "claimed" } as const);
}
