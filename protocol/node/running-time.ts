import { performance } from "node:perf_hooks";

const lookEveryMs = 20;

/** By the clock it takes at most so many times as long. */
export const runningTimeFactorMax = 4;

/**
 * Calls `late` after so long of this process's own running: while a busy machine does not let it run, or it computes, it cannot
 * read an answer that has come, and who answered is not late. Returns what stops it.
 */
export function afterRunning(ms: number, late: () => void): () => void {
  const fromMs = performance.now();
  let lookedAtMs = fromMs;
  let ranMs = 0;
  const look = setInterval(() => {
    const nowMs = performance.now();
    ranMs += Math.min(nowMs - lookedAtMs, 2 * lookEveryMs);
    lookedAtMs = nowMs;
    if (ranMs < ms && nowMs - fromMs < ms * runningTimeFactorMax) return;
    clearInterval(look);
    late();
  }, lookEveryMs);
  return () => clearInterval(look);
}
