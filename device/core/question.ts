/**
 * How a path is asked: echoes 0.2 s apart. long: for a second, until the first answer. short: three of them, and half a
 * second for all; two short ones in vain prove as much as a long one.
 */
export type Question = "short" | "long";

/** What came of a question. */
export type Echo =
  /** `lost`: those whose answers should have been there. `rttMs`: of one that was answered. */
  | { readonly is: "answered"; readonly lost: number; readonly rttMs: number }
  | { readonly is: "silent" }
  /** This host could not ask, or not wait for an answer; that says nothing about the path. */
  | { readonly is: "unsent" };

/** What is known of a path that is to be asked, or that was asked in vain. */
export interface Asked {
  /** Of the last answer. */
  readonly rttMs: number | undefined;
  /** Questions that count once more each, because the path has lately lost what it then turned out to carry. */
  readonly doubts: number;
}

/** An answer from further away may come too late for a short question. */
const nearMs = 100;

export function isFar(rttMs: number | undefined): boolean {
  return rttMs !== undefined && rttMs > nearMs;
}

/** Users' packets in the time of a short question, beside three echoes with their headers (480 bytes, IPv6). */
const sentOnBytes = 1_000;

/** `isAwaited`: users have sent something, and nothing has come back. */
export function questionFor({ rttMs, doubts }: Asked, isAwaited: boolean): Question {
  return isAwaited && doubts === 0 && rttMs !== undefined && !isFar(rttMs) ? "short" : "long";
}

/** What a question without an answer counts. */
export const inVain = { short: 1, long: 2 } as const satisfies Record<Question, number>;

/**
 * How much must have been asked in vain. Users who sent on all the while and got nothing have asked, too: then one short
 * question is enough on a path that loses nothing.
 */
export function enough(
  { doubts }: Pick<Asked, "doubts">,
  sentBytes: number,
): { readonly inVain: number; readonly isSentOn: boolean } {
  const isSentOn = doubts === 0 && sentBytes >= sentOnBytes;
  return { inVain: isSentOn ? inVain.short : inVain.long * (1 + doubts), isSentOn };
}
