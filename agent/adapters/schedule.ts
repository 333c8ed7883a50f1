import { createTask } from "node-cron";
import type { Logger } from "../../protocol/node/log.ts";

/** Runs `work` on a cron schedule until disposed of. A run that comes too late is left out: the next one does. */
export function onSchedule(expression: string, work: () => void, log: Logger): Disposable {
  const quiet = (message: string | Error) => log.debug({ detail: String(message) }, "the schedule speaks");
  const logger = { info: quiet, warn: quiet, error: quiet, debug: quiet };
  const task = createTask(expression, work, {
    name: "prefixes",
    noOverlap: true,
    suppressMissedWarning: true,
    logger,
  });
  void task.start();
  return { [Symbol.dispose]: () => void task.destroy() };
}
