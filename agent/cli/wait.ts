import { setTimeout as sleep } from "node:timers/promises";
import type { Result } from "../../protocol/failures.ts";
import type { World } from "../../protocol/node/world.ts";
import type { StatusView } from "../../protocol/view.ts";

export interface Waiting {
  /** What is waited for. */
  readonly isOver: (status: StatusView) => boolean;
  /** Given up after so long, whatever the agent says; undefined: never. */
  readonly forMs: number | undefined;
  /** Told when the number of sessions that are left changes. */
  readonly onProgress: (status: StatusView) => void;
}

const everyMs = 250;
/** So long an agent may be away in between: restarting is no end. */
const silentMs = 15_000;

/**
 * Looks until it is over, the time is up, or Ctrl-C; returns the last answer. An agent that does not answer for longer than
 * a restart takes is the answer.
 */
export async function waitFor(
  look: () => Promise<Result<StatusView>>,
  { isOver, forMs = Number.POSITIVE_INFINITY, onProgress }: Waiting,
  world: Pick<World, "stop">,
): Promise<Result<StatusView>> {
  const begunMs = performance.now();
  let [answeredMs, left] = [begunMs, -1];
  for (;;) {
    const answer = await look();
    const nowMs = performance.now();
    if (answer.ok) {
      answeredMs = nowMs;
      if (isOver(answer.value)) return answer;
      if (answer.value.sessions !== left) onProgress(answer.value);
      left = answer.value.sessions;
    }
    const isUp = nowMs - begunMs >= forMs || nowMs - answeredMs >= silentMs;
    if (isUp || world.stop.aborted) return answer;
    await sleep(everyMs, undefined, { signal: world.stop }).catch(() => undefined);
  }
}
