import { Failure, failureText } from "../protocol/failures.ts";
import { createLogger, type LogLevel } from "../protocol/node/log.ts";
import { keepTelling, serviceManager } from "../protocol/node/service-manager.ts";
import { type Certificate, type ControllerOptions, startController } from "./controller.ts";
import type { AdminPort } from "./core/admin.ts";

export interface ServeOptions
  extends Pick<ControllerOptions, "host" | "port" | "stateDir" | "awsCertificates" | "settings"> {
  readonly tls: Certificate | undefined;
  readonly logLevel: LogLevel;
  /** Reads the certificate's files again; undefined when they cannot be used now. */
  readonly rereadTls: () => Certificate | undefined;
}

/** Bad configuration: starting again would change nothing (sysexits.h, EX_CONFIG; the unit does not restart on it). */
const exitConfiguration = 78;

/** How often the certificate's files are compared, ms. SIGHUP does it at once. */
const rereadEveryMs = 60_000;

/** Runs a controller until SIGTERM or SIGINT. Resolves with the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const log = createLogger({ name: "connector-controller", level: options.logLevel });
  const manager = serviceManager(process.env, (error) => {
    log.warn({ error: String(error).slice(0, 200) }, "systemd cannot be told how the controller is");
  });
  // All heard from the start: a controller that is told to end before it listens ends when it does.
  const stopped = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stopped.resolve);
  // What SIGHUP does now.
  let reread = () => {};
  const onHangUp = () => reread();
  process.on("SIGHUP", onHangUp);
  try {
    await using controller = await startController({ ...options, log });
    using _beat = manager && keepTelling(manager, () => beat(controller));
    let served = options.tls?.cert;
    reread = () => {
      const tls = options.rereadTls();
      if (tls === undefined || tls.cert === served) return;
      controller.replaceCertificate(tls);
      served = tls.cert;
    };
    // Renewed while it started.
    reread();
    const timer = setInterval(reread, rereadEveryMs);
    const signal = await stopped.promise;
    clearInterval(timer);
    reread = () => {};
    log.info({ signal }, "controller stops");
    await manager?.tell({ say: "stopping", status: "Tells agents and devices that it restarts" });
    return 0;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    log.error({ code: error.code, ...error.facts, hint: error.hint }, error.message);
    return error.retry === "backoff" ? 1 : exitConfiguration;
  } finally {
    process.off("SIGHUP", onHangUp);
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.off(signal, stopped.resolve);
  }
}

/** A turn of the work, and how it goes in one line. */
function beat(controller: Pick<AdminPort, "notReady" | "metricsFacts"> & { turn(): void }): string {
  controller.turn();
  const why = controller.notReady();
  const { instances, sessions } = controller.metricsFacts();
  const all = sum(Object.values(instances));
  const served = sum(Object.values(sessions)) - sessions.leaving;
  const trouble = why === undefined ? "" : `; ${failureText(why)} [${why}]`;
  return `${instances.Active} of ${all} instances active, ${served} sessions${trouble}`;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
