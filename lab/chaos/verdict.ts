import { median } from "./gaps.ts";
import type { Heed } from "./load.ts";

/** Who may be moved by a fault, and for how long at most those whom it hits may be without an answer. */
export interface Expectation {
  /** hit: all sessions of the instance that the fault hits, and no other. some: whoever, nobody need be. */
  readonly moves: "nobody" | "hit" | "some";
  readonly withinMs: number;
}

/** Who is not hit may notice no more than this. */
export const unnoticedMs = 100;

/** Where a device's session is. */
export interface Place {
  readonly session: string;
  readonly epoch: number;
  readonly instance: string | null;
}

/** By device; undefined where there is no session. */
export type Places = ReadonlyMap<string, Place | undefined>;

export interface Seen {
  readonly expects: Expectation;
  /** The instance that was hit; undefined when it was none. */
  readonly instance: string | undefined;
  readonly before: Places;
  readonly after: Places;
  readonly heeds: readonly Heed[];
  /** The longest gap of all when nothing was done. */
  readonly calmMs: number;
  /** What went wrong besides: the group did not come to rest. */
  readonly troubles: readonly string[];
}

export interface Outcome {
  /** Sessions of the instance that was hit; of all when it was none. */
  readonly hit: number;
  readonly moved: number;
  /** Moves, which are more when a session was moved twice. */
  readonly moves: number;
  /** Of the devices that were hit. */
  readonly medianMs: number | undefined;
  readonly worstMs: number | undefined;
  /** Of all others. */
  readonly othersMs: number | undefined;
  /** What was allowed to those who were hit, with what the machine was late by itself. */
  readonly allowedMs: number;
  /** Sessions that ended, and devices that are answered no more. */
  readonly lost: readonly string[];
  /** What is not as it should be; empty when all is. */
  readonly problems: readonly string[];
}

/**
 * Holds what was seen against what was expected. What a busy machine takes is measured, not guessed: the longest gap of the
 * same run with nothing done, or by how much the requests of this fault were late to be sent.
 */
export function judge({ expects, instance, before, after, heeds, calmMs, troubles }: Seen): Outcome {
  const isHit = (device: string) => instance === undefined || before.get(device)?.instance === instance;
  const hit = heeds.filter(({ device }) => isHit(device));
  const others = heeds.filter(({ device }) => !isHit(device));
  const lateMs = Math.max(calmMs, ...heeds.map((heed) => heed.lateMs));
  const allowedMs = expects.withinMs + lateMs;
  const moved = [...before.keys()].filter((device) => stepsOf(before, after, device) > 0);
  const lost = [...before.keys()].filter(
    (device) => before.get(device)?.session !== after.get(device)?.session,
  );
  const longest = (of: readonly Heed[]) =>
    of.length === 0 ? undefined : Math.max(...of.map(({ gap }) => gap.ms));
  const tooLong = (of: readonly Heed[], ms: number) =>
    of
      .filter(({ gap }) => gap.ms > ms)
      .map(
        ({ device, gap }) =>
          `${device} was without an answer for ${gap.ms.toFixed(0)} ms, ${ms.toFixed(0)} allowed`,
      );
  return {
    hit: hit.length,
    moved: moved.length,
    moves: [...before.keys()].reduce((sum, device) => sum + stepsOf(before, after, device), 0),
    medianMs: median(hit.map(({ gap }) => gap.ms)),
    worstMs: longest(hit),
    othersMs: longest(others),
    allowedMs,
    lost,
    problems: [
      ...troubles,
      ...lost.map((device) => `${device} lost its session`),
      ...movedWrongly(
        expects,
        moved,
        hit.map(({ device }) => device),
      ),
      ...tooLong(hit, allowedMs),
      ...tooLong(others, unnoticedMs + lateMs),
    ],
  };
}

/** Each move raises the epoch by one or more: an instance that refuses is followed by another. */
function stepsOf(before: Places, after: Places, device: string): number {
  const [was, is] = [before.get(device), after.get(device)];
  return was === undefined || is === undefined || was.session !== is.session ? 0 : is.epoch - was.epoch;
}

function movedWrongly({ moves }: Expectation, moved: readonly string[], hit: readonly string[]): string[] {
  switch (moves) {
    case "nobody":
      return moved.map((device) => `${device} was moved, and nobody should be`);
    case "hit":
      return [
        ...moved
          .filter((device) => !hit.includes(device))
          .map((device) => `${device} was moved, and is at another instance`),
        ...hit.filter((device) => !moved.includes(device)).map((device) => `${device} was not moved`),
      ];
    case "some":
      return [];
  }
}
