/**
 * One moment, read from both clocks at once.
 *
 * `monotonicMs` never steps and counts from an arbitrary start (Linux: the boot); every duration and deadline runs on it.
 * `wallMs` is milliseconds since 1970 as the host believes; it is only stored and shown.
 */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** A clock that is handed in, so that a core never reads one. */
export type Clock = () => Instant;

/** The earlier of two deadlines, where undefined means none. */
export function earliest(...deadlines: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const deadline of deadlines) {
    if (deadline !== undefined && (first === undefined || deadline < first)) first = deadline;
  }
  return first;
}
