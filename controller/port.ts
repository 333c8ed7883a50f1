import { type FailureCode, failed, type Result, success } from "../protocol/failures.ts";
import type { Clock } from "../protocol/time.ts";
import { makers } from "./adapters/makers.ts";
import type { Actor, AdminCommand, AdminPort, CommandResults, MetricsFacts } from "./core/admin.ts";
import type { ControllerCore } from "./core/core.ts";
import type { Store } from "./core/ports.ts";
import { type AuditEntry, type ControllerViews, pageLimits } from "./core/views.ts";
import type { Running } from "./running.ts";

/** The admin API's way to the core. */
export class Port implements AdminPort {
  readonly #core: ControllerCore;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #world: Running;
  #tokensReadAtMs = Number.NEGATIVE_INFINITY;
  /** The last reading of the tokens; who comes while it lasts waits for it. */
  #reading: Promise<void> = Promise.resolve();

  constructor(core: ControllerCore, store: Store, clock: Clock, world: Running) {
    this.#core = core;
    this.#store = store;
    this.#clock = clock;
    this.#world = world;
  }

  get views(): ControllerViews {
    return this.#core.viewsAt(this.#clock());
  }

  async command<C extends AdminCommand>(
    command: C,
    actor: Actor,
  ): Promise<Result<CommandResults[C["command"]]>> {
    return (await this.#world.ask({ command, actor })) as Result<CommandResults[C["command"]]>;
  }

  async authenticate(token: string): Promise<Result<Actor>> {
    const hash = makers.hash(token);
    if (this.#core.tokenName(hash) === undefined) await this.#readTokens();
    const name = this.#core.tokenName(hash);
    return name === undefined ? failed("admin.unauthorised") : success(`token:${name}`);
  }

  async audit(
    page: { readonly before?: number | undefined; readonly limit?: number | undefined } = {},
  ): Promise<Result<AuditEntry[]>> {
    const limit = Math.min(page.limit ?? pageLimits.byDefault, pageLimits.max);
    return await this.#store.audit({ before: page.before, limit });
  }

  notReady(): FailureCode | undefined {
    return this.#world.storeProblem?.code;
  }

  metricsFacts(): MetricsFacts {
    return this.#core.metricsFacts();
  }

  /** A token may have been made on this host meanwhile. At most once a second: strangers guess, too. */
  #readTokens(): Promise<void> {
    const { monotonicMs } = this.#clock();
    if (monotonicMs < this.#tokensReadAtMs + 1000) return this.#reading;
    this.#tokensReadAtMs = monotonicMs;
    this.#reading = this.#readTokensNow();
    return this.#reading;
  }

  async #readTokensNow(): Promise<void> {
    const revision = this.#core.tokensRevision;
    const tokens = await this.#store.tokens();
    if (!tokens.ok) return;
    this.#world.driver.post({ kind: "tokens", revision, rows: tokens.value });
    this.#world.driver.flush();
  }
}
