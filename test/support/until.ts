import { setTimeout as sleep } from "node:timers/promises";

/**
 * Waits until `condition` gives something truthy, and returns it. Fails with `what` and the last value after the
 * deadline: no test waits for a fixed time.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = 10_000,
): Promise<NonNullable<T>> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    if (performance.now() > endMs)
      throw new Error(`not within ${deadlineMs} ms: ${what} (last: ${JSON.stringify(value)})`);
    await sleep(10);
  }
}
