import type { Core } from "../../protocol/core.ts";
import { Failure, failed, success } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { MetricsFacts } from "./admin.ts";
import { admit } from "./admission.ts";
import { applied } from "./applied.ts";
import { Carriers, decideCarriers } from "./carriers.ts";
import { decideCommand } from "./decide.ts";
import type { ControllerEffect, ControllerInput } from "./effects.ts";
import { countMoves, judgeInstances } from "./evidence.ts";
import { Fleet } from "./fleet.ts";
import { Judge } from "./judge.ts";
import { connected, cut, disconnected, flush, received, sweep, verified } from "./links.ts";
import { metricsFacts } from "./metrics-facts.ts";
import { Model } from "./model.ts";
import { keepReported } from "./observed.ts";
import { Peers } from "./peers.ts";
import { Pipeline } from "./pipeline.ts";
import { Placer } from "./placer.ts";
import type { Makers, Saved } from "./ports.ts";
import { publish } from "./publish.ts";
import { Restarts } from "./restarts.ts";
import { type Change, type Plan, put, tableNames } from "./rows.ts";
import { type CoreSettings, sweepMsOf } from "./settings.ts";
import { Views } from "./show.ts";
import type { Shown } from "./show-restart.ts";
import type { ControllerViews } from "./views.ts";
import { count, noTotals, type World } from "./world.ts";

/**
 * The group's brain: links in, decisions out. Everything that must survive goes through the pipeline; everything
 * else (links, reports) is heard anew after a restart. SPEC.md lists its states and invariants.
 */
export class ControllerCore implements Core<ControllerInput, ControllerEffect> {
  readonly #world: World;
  readonly #views: Views;
  #effects: ControllerEffect[] = [];
  #effectIds = 0;
  #sweepAtMs: number | undefined;
  readonly #sweepMs: number;
  /** The sessions' pass that waits in the pipeline: its changes need no second look. */
  #pass: Plan | undefined;
  #isPassQueued = false;

  constructor(options: { saved: Saved; settings: CoreSettings; makers: Makers; now: Instant }) {
    const { saved, settings, makers, now } = options;
    const model = new Model();
    for (const table of tableNames) {
      for (const row of saved[table]) model.apply({ table, put: row } as Change);
    }
    const fleet = new Fleet();
    const peers = new Peers();
    const judge = new Judge({ model, fleet, peers }, settings, now);
    const restarts = new Restarts();
    this.#world = {
      controllerId: saved.controllerId,
      settings,
      makers,
      model,
      fleet,
      peers,
      judge,
      carriers: new Carriers(),
      restarts,
      placer: new Placer({ model, fleet, judge }, makers.id, settings, now),
      pipeline: new Pipeline({
        jobsMax: settings.jobsMax,
        store: (plan) => this.#store(plan),
        apply: (plan) => this.#apply(plan),
      }),
      totals: noTotals(),
      now,
      emit: (effect) => this.#effects.push(effect),
      newEffectId: () => ++this.#effectIds,
    };
    this.#sweepMs = sweepMsOf(settings);
    const restartUntilMs: Shown["restartUntilMs"] = (row, at) => restarts.untilMs(row, this.#world, at);
    this.#views = new Views({ model, fleet, judge, restartUntilMs }, () => this.#world.now);
  }

  get tokensRevision(): number {
    return this.#world.model.tokensRevision;
  }

  /** The name of the token with this hash. */
  tokenName(hash: string): string | undefined {
    return this.#world.model.tokenByHash.get(hash)?.name;
  }

  /** What an administrator sees at a moment. */
  viewsAt(now: Instant): ControllerViews {
    this.#world.now = now;
    return this.#views;
  }

  metricsFacts(): MetricsFacts {
    return metricsFacts(this.#world);
  }

  handle(input: ControllerInput, now: Instant): readonly ControllerEffect[] {
    this.#world.now = now;
    this.#take(input);
    judgeInstances(this.#world);
    decideCarriers(this.#world);
    this.#world.restarts.run(this.#world);
    this.#decideSessions();
    this.#world.pipeline.run();
    flush(this.#world);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  nextDeadline(): number | undefined {
    const { judge, carriers, restarts, placer, now } = this.#world;
    return earliest(
      restarts.nextDeadline(this.#world),
      this.#sweepAtMs,
      carriers.nextDeadline(),
      judge.nextDeadline(now),
      this.#isPassQueued ? undefined : placer.nextDeadline(),
    );
  }

  #take(input: ControllerInput): void {
    const world = this.#world;
    switch (input.kind) {
      case "connected":
        connected(world, input.link, input.address);
        this.#sweepAtMs ??= world.now.monotonicMs + this.#sweepMs;
        break;
      case "received":
        received(world, input.link, input.message);
        break;
      case "unreadable":
        this.#unreadable(input.link, input.why);
        break;
      case "unknown":
        world.totals.unknownMessages += 1;
        break;
      case "disconnected":
        disconnected(world, input.link);
        break;
      case "verified": {
        const peer = verified(world, input.effectId, input.proven);
        if (peer !== undefined) admit(world, peer, input.document);
        break;
      }
      case "command":
        this.#command(input);
        break;
      case "stored":
        world.pipeline.stored(input.effectId);
        break;
      case "storeFailed": {
        world.totals.storeFailures += 1;
        world.pipeline.storeFailed(input.effectId, new Failure(input.why, input.facts));
        break;
      }
      case "tokens":
        this.#readTokens(input);
        break;
      case "stop":
        for (const peer of [...world.peers.all()]) {
          world.emit({ do: "close", link: peer.link, close: "restarting" });
          world.peers.remove(peer.link);
        }
        break;
      case "tick":
        this.#tick();
        break;
    }
  }

  /** A token made on this host while the controller ran. A reading older than the model's last change is dropped. */
  #readTokens({ revision, rows }: ControllerInput & { kind: "tokens" }): void {
    const { model } = this.#world;
    if (revision !== model.tokensRevision) return;
    for (const row of rows) if (!model.tokens.has(row.name)) model.apply(put("token", row));
  }

  #unreadable(link: number, why: Failure["code"]): void {
    const peer = this.#world.peers.get(link);
    if (peer !== undefined)
      cut(this.#world, peer, why, why === "protocol.too-large" ? "tooLarge" : "malformed");
  }

  #tick(): void {
    const { now, peers, model } = this.#world;
    if (this.#sweepAtMs === undefined || now.monotonicMs < this.#sweepAtMs) return;
    sweep(this.#world);
    for (const id of model.instances.keys()) keepReported(this.#world, id);
    const { agents, devices, strangers } = peers.counts();
    this.#sweepAtMs = agents + devices + strangers === 0 ? undefined : now.monotonicMs + this.#sweepMs;
  }

  #command({ commandId, command, actor }: ControllerInput & { kind: "command" }): void {
    const { model, makers, pipeline, totals } = this.#world;
    const fail = (failure: Failure) => {
      count(totals, failure.code);
      this.#world.emit({ do: "answer", commandId, result: { ok: false, failure } });
    };
    if (pipeline.isFull) {
      fail(failed("admin.rate-limited").failure);
      return;
    }
    pipeline.add({
      failed: fail,
      decide: () => {
        const nowMs = this.#world.now.wallMs;
        const decision = decideCommand(command, { model, views: this.#views, makers, actor, nowMs });
        if (!decision.ok) return decision;
        const { plan, answer } = decision.value;
        const done = () => {
          totals.commands += 1;
          this.#world.emit({ do: "answer", commandId, result: success(answer(this.#views)) });
        };
        return success({ plan, done });
      },
    });
  }

  /** Puts one pass over the sessions into the pipeline when there is something to decide. */
  #decideSessions(): void {
    const { placer, pipeline, now, totals } = this.#world;
    if (this.#isPassQueued || !placer.isDue(now)) return;
    this.#isPassQueued = true;
    let pass: ReturnType<Placer["pass"]> | undefined;
    pipeline.add({
      decide: () => {
        pass = placer.pass(this.#world.now);
        const { changes, audit, placed, moves, foreign } = pass;
        this.#pass = { changes, audit };
        for (const { instance, session, addresses } of foreign)
          this.#tellForeign(instance, session, addresses);
        const done = () => {
          this.#isPassQueued = false;
          totals.placements += placed;
          countMoves(this.#world, moves);
          this.#decideSessions();
        };
        return success({ plan: this.#pass, done });
      },
      failed: () => {
        this.#isPassQueued = false;
        if (pass !== undefined) placer.giveBack(pass, this.#world.now);
      },
    });
  }

  #tellForeign(id: string, session: string, addresses: string): void {
    const instance = this.#world.model.instances.get(id)?.name ?? id;
    const facts = { code: "lease.foreign", instance, session, addresses };
    count(this.#world.totals, "lease.foreign");
    this.#world.emit({ do: "tell", level: "warn", text: "instance granted a wrong address", facts });
  }

  #store(plan: Plan): number {
    const effectId = ++this.#effectIds;
    this.#effects.push({ do: "store", effectId, plan });
    return effectId;
  }

  #apply(plan: Plan): void {
    const { model, peers, placer, judge, now } = this.#world;
    const isPass = plan === this.#pass;
    for (const change of plan.changes) {
      const session = change.table === "session" && "remove" in change && model.sessions.get(change.remove);
      publish(change, model, peers);
      if (session) {
        placer.forget(session.id, session.device);
        judge.hear(session.device, now);
        if (!isPass) placer.look(session.device);
      } else if (change.table === "session") {
        if (!("put" in change)) continue;
        judge.hear(change.put.device, now);
        placer.stored(change.put, now);
        if (!isPass) placer.look(change.put.device);
      } else applied(this.#world, change);
    }
    // What is decided next, in this very turn, is decided by what is true now.
    judgeInstances(this.#world);
  }
}
