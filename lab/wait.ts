import { setTimeout as sleep } from "node:timers/promises";

/** Asks again until there is an answer. @throws Error that names what was waited for. */
export async function waitFor<T>(
  what: string,
  withinMs: number,
  ask: () => Promise<T> | T,
  signal?: AbortSignal,
): Promise<NonNullable<T>> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > endMs) throw new Error(`waited ${withinMs / 1000} s for ${what}`);
    await sleep(50, undefined, signal === undefined ? {} : { signal });
  }
}
