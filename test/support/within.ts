import { afterRunning } from "../../protocol/node/running-time.ts";

/**
 * What `acting` comes to, which it does within so long of this process's own running: a busy machine that does not let it
 * run does not count. For what this process does itself, and waits for.
 */
export async function within<T>(ms: number, acting: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const stop = afterRunning(ms, () => reject(new Error(`it takes more than ${ms} ms`)));
  try {
    return await Promise.race([acting, late]);
  } finally {
    stop();
  }
}
