import type { Server as HttpsServer } from "node:https";
import { Failure } from "../protocol/failures.ts";
import { systemClock } from "../protocol/node/clock.ts";
import type { Logger } from "../protocol/node/log.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import type { Clock } from "../protocol/time.ts";
import type { LinkServerOptions } from "./adapters/link-server.ts";
import { makers } from "./adapters/makers.ts";
import { openStore } from "./adapters/store.ts";
import { type Api, createApi } from "./api/api.ts";
import type { ApiLimits } from "./api/limits.ts";
import type { AdminPort } from "./core/admin.ts";
import { ControllerCore } from "./core/core.ts";
import type { Store } from "./core/ports.ts";
import { type CoreSettings, settingsFrom } from "./core/settings.ts";
import { Port } from "./port.ts";
import { Running } from "./running.ts";

export interface Certificate {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
}

export interface ControllerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly stateDir: string;
  /** Without it, plain HTTP: on loopback only. */
  readonly tls: Certificate | undefined;
  /** The folder of AWS's certificates, one `REGION.pem` each. */
  readonly awsCertificates: string;
  readonly log: Logger;
  readonly settings?: Partial<CoreSettings> | undefined;
  readonly apiLimits?: Partial<ApiLimits> | undefined;
  readonly handshakes?: LinkServerOptions["handshakes"];
  readonly clock?: Clock | undefined;
  /** In place of the database in the state directory. */
  readonly store?: Store | undefined;
}

export interface Controller extends AdminPort, AsyncDisposable {
  readonly port: number;
  /** What agents, devices and the CLI dial, as far as this process knows its own name. */
  readonly url: string;
  /** Does a turn of the core's work now: who comes back from it is alive. */
  turn(): void;
  /** Serves new connections with another certificate. */
  replaceCertificate(certificate: Certificate): void;
}

/**
 * Brings the core together with its adapters and listens: links and admin API on one port. Throws a Failure
 * (`store.damaged`, `store.newer`, `store.locked`, …) when there is no sound database to start from: a controller
 * that started empty would give every address away a second time.
 */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { host, tls, log, clock = systemClock, settings } = options;
  if (tls === undefined && !isLoopback(host)) {
    throw new Failure("admin.invalid", { field: "tls", problem: `needed to listen on ${host}` });
  }
  const chosen = settingsFrom(settings ?? {});
  if (!chosen.ok) throw chosen.failure;
  await using stack = new AsyncDisposableStack();
  const store = stack.use(options.store ?? openStore(options.stateDir));
  const core = new ControllerCore({
    saved: await store.load(),
    settings: chosen.value,
    makers,
    now: clock(),
  });
  const world = stack.use(new Running(core, store, { ...options, clock }));
  const port = new Port(core, store, clock, world);
  const api = stack.use(
    await createApi({ admin: port, log, version: softwareVersion, tls, limits: options.apiLimits }),
  );
  world.serve(api.server);
  const listening = await api.listen(host, options.port);
  log.info({ host, port: listening, tls: tls !== undefined, version: softwareVersion }, "controller listens");
  const url = `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${listening}`;
  return Object.assign(port, disposable(stack.move(), world), {
    port: listening,
    url,
    turn: () => world.turn(),
    replaceCertificate: (certificate: Certificate) => replaceCertificate(api, certificate, log),
  });
}

function disposable(stack: AsyncDisposableStack, world: Running): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      world.stop();
      await stack.disposeAsync();
    },
  };
}

function replaceCertificate(api: Api, certificate: Certificate, log: Logger): void {
  if (!("setSecureContext" in api.server)) return;
  (api.server as HttpsServer).setSecureContext({ ...certificate, minVersion: "TLSv1.2" });
  log.info("certificate replaced");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
