import type { Core } from "../../protocol/core.ts";
import type { LinkInput } from "../../protocol/link.ts";
import { type Clock, earliest, type Instant } from "../../protocol/time.ts";
import type { AgentEffect, AgentInput, Note } from "./agent-inputs.ts";
import { type AgentOptions, type AgentParts, makeParts, nextDeadlineOf } from "./agent-parts.ts";
import { Changes } from "./changes.ts";
import type { DesiredUpdate } from "./desired.ts";
import { dataPathPlan, instanceEntry, problems } from "./facts.ts";
import type { LeaseInput } from "./leases.ts";
import type { AgentViews } from "./ports.ts";
import type { Heard } from "./traffic.ts";
import type { UplinkEffect } from "./uplink.ts";
import { viewsOf } from "./views.ts";

export type { AgentEffect, AgentInput, Note, StorePart } from "./agent-inputs.ts";
export type { AgentOptions } from "./agent-parts.ts";

/**
 * The agent without the world. An input goes to the part it concerns; then `#settle` carries what changed to the
 * others and starts what is due. SPEC.md, "Agent", has the invariants.
 */
export class Agent implements Core<AgentInput, AgentEffect> {
  readonly #parts: AgentParts;
  readonly #changes = new Changes();
  /** The effects of the input that is being handled. */
  #effects: AgentEffect[] = [];
  #isStopped = false;
  /** The ranges as the leases know them: told again only when they changed. */
  #verified: ReadonlySet<string> | undefined;
  #conditionsDueAtMs: number | undefined;

  constructor(options: AgentOptions, now: Instant) {
    this.#parts = makeParts(options, now);
  }

  views(clock: Clock): AgentViews {
    return viewsOf(this.#parts, clock);
  }

  handle(input: AgentInput, now: Instant): readonly AgentEffect[] {
    this.#effects = [];
    this.#parts.clockWatch.observe(now);
    this.#take(input, now);
    this.#settle(now);
    return this.#effects;
  }

  nextDeadline(): number | undefined {
    return earliest(nextDeadlineOf(this.#parts), this.#conditionsDueAtMs);
  }

  #take(input: AgentInput, now: Instant): void {
    const { enrolment, prefixes, dataPath, traffic, lifecycle } = this.#parts;
    switch (input.kind) {
      case "start":
        this.#restore(now);
        break;
      case "stop":
        this.#isStopped = true;
        this.#bye(lifecycle.leavesBy, now);
        break;
      case "tick":
        this.#link({ kind: "tick" }, now);
        this.#lease({ kind: "tick" }, now);
        break;
      case "link":
        this.#link(input.input, now);
        break;
      case "instanceRead":
        enrolment.instanceRead(input.effectId, input.reading, now);
        break;
      case "prefixesRead":
        prefixes.take(input.effectId, input.reading, now);
        if (prefixes.interface !== undefined) enrolment.interfaceRead(prefixes.interface, now);
        break;
      case "identityMade":
        enrolment.identityMade(input.effectId, input.result, now);
        break;
      case "enrolmentSaved":
        this.#effects.push(...enrolment.enrolmentSaved(input.effectId, input.result, now));
        break;
      case "otpSeen":
        if (enrolment.otpSeen(input.effectId, input.seen, now)) this.#link({ kind: "retry" }, now);
        break;
      case "stored":
        this.#stored(input, now);
        break;
      case "applied":
        dataPath.applied(input.effectId, input.result, now);
        break;
      case "compared":
        dataPath.compared(input.effectId, input.result, now);
        break;
      case "dataPathNews":
        dataPath.look();
        break;
      case "trafficRead":
        this.#heard(traffic.read(input.effectId, input.result, now), now);
        break;
      case "verify":
        prefixes.demand();
        break;
      case "hold":
        lifecycle.hold(input.reason, input.isOn, now, input.forMs);
        break;
      case "leave":
        lifecycle.leave(input.forMs, now);
        break;
      case "noticesRead":
        lifecycle.noticesRead(input.effectId, input.reading, now);
        break;
      case "reload":
        enrolment.reload(input.identity);
        prefixes.demand();
        this.#link({ kind: "retry" }, now);
    }
  }

  /** Serve what was served before the restart, before anyone has answered. */
  #restore(now: Instant): void {
    const { unreadable } = this.#parts;
    if (unreadable > 0) this.#note({ is: "unreadable", entries: unreadable });
    this.#configure();
    this.#rangesChanged(now);
    const set = [...this.#parts.desired.sessions];
    if (set.length === 0) return;
    this.#lease({ kind: "sessions", from: "disk", set, over: [], snapshot: true }, now);
    // What ran out while no agent was there to renew it may be in use.
    this.#heard(this.#parts.traffic.unknown(now), now);
  }

  #heard(heard: Heard | undefined, now: Instant): void {
    switch (heard?.is) {
      case "known":
        this.#lease({ kind: "seen", sessions: heard.sessions, throughMs: heard.throughMs }, now);
        break;
      case "unknown":
        this.#lease({ kind: "spare", untilMs: heard.spareUntilMs }, now);
        break;
      case undefined:
    }
  }

  #settle(now: Instant): void {
    const { enrolment, prefixes, dataPath, traffic, lifecycle, memory, uplink } = this.#parts;
    if (prefixes.verified !== this.#verified) this.#rangesChanged(now);
    dataPath.admit(!uplink.isRemoved);
    this.#effects.push(...enrolment.next(now));
    this.#live(now);
    const mayDial = enrolment.proof !== undefined && !this.#isStopped && !lifecycle.hasLeft;
    if (uplink.state.kind === "idle" && mayDial) this.#link({ kind: "start" }, now);
    if (uplink.state.kind === "stopped" && enrolment.mayEnrolNow) this.#link({ kind: "retry" }, now);
    const reading = prefixes.next(now);
    if (reading !== undefined) this.#effects.push({ do: "readPrefixes", effectId: reading });
    const isStoring = this.#effects.some((effect) => effect.do === "store");
    const write = memory.next(now, isStoring);
    if (write !== undefined) this.#effects.push({ do: "store", part: { of: "memory", ...write } });
    if (memory.isDesiredOnDisk) this.#uplinkEffects(uplink.acknowledge(now), now);
    this.#effects.push(...dataPath.next(() => dataPathPlan(this.#parts), now), ...traffic.next(now));
    this.#tell(now);
  }

  /** Looks for notices, and says goodbye when it is time. */
  #live(now: Instant): void {
    const { lifecycle, desired } = this.#parts;
    for (const effect of lifecycle.next(desired.sessions.size, now)) {
      this.#effects.push(effect);
      if (effect.do === "left") this.#bye(effect.reason, now);
    }
  }

  /** Without a reason it comes back, and nothing is to move. */
  #bye(goodbye: string | undefined, now: Instant): void {
    this.#link({ kind: "stop", ...(goodbye === undefined ? {} : { goodbye }) }, now);
  }

  #configure(): void {
    const { desired, prefixes } = this.#parts;
    prefixes.configure(desired.pools, desired.connector?.ipv6PoolMatch ?? "exact");
  }

  /** Tells the leases which ranges they may use. */
  #rangesChanged(now: Instant): void {
    const { desired, prefixes, dataPath } = this.#parts;
    const { verified } = prefixes;
    this.#verified = verified;
    dataPath.touch();
    this.#lease({ kind: "ranges", pools: new Map(desired.pools), verified }, now);
  }

  #lease(input: LeaseInput, now: Instant): void {
    const { leases, report, dataPath } = this.#parts;
    for (const effect of leases.handle(input, now)) {
      switch (effect.do) {
        case "store": {
          const { do: _, ...part } = effect;
          this.#effects.push({ do: "store", part: { of: "leases", ...part } });
          break;
        }
        case "changed":
          report.leasesChanged(effect);
          if (effect.peers) dataPath.touch();
      }
    }
  }

  #stored({ part, effectId, why }: Extract<AgentInput, { kind: "stored" }>, now: Instant): void {
    switch (part) {
      case "leases":
        if (why === undefined) this.#lease({ kind: "stored", effectId }, now);
        else this.#lease({ kind: "storeFailed", effectId, why }, now);
        break;
      case "memory":
        this.#parts.memory.written(effectId, why === undefined, now);
    }
  }

  #link(input: LinkInput, now: Instant): void {
    this.#uplinkEffects(this.#parts.uplink.handle(input, now), now);
  }

  #uplinkEffects(effects: readonly UplinkEffect[], now: Instant): void {
    const { enrolment } = this.#parts;
    for (const effect of effects) {
      switch (effect.do) {
        case "dial":
        case "send":
        case "hangUp":
          this.#effects.push(effect);
          break;
        case "challenged": {
          const plan = enrolment.prove();
          // The password went away while the connection was opened: nothing to prove, nothing to say.
          if (plan === undefined) this.#link({ kind: "stop" }, now);
          else this.#effects.push({ ...effect, do: "prove", plan });
          break;
        }
        case "enrolled":
          this.#effects.push(...enrolment.enrolled(effect.enrolment));
          break;
        case "up":
          this.#effects.push(...enrolment.welcomed(effect.welcome.name));
          this.#note({ is: "linkUp", name: effect.welcome.name, version: effect.welcome.version });
          break;
        case "down":
          enrolment.refused(effect.why);
          this.#note({ is: "linkDown", why: effect.why });
          break;
        case "refused":
          enrolment.refused(effect.why);
          this.#note({ is: "refused", why: effect.why, text: effect.text });
          break;
        case "breached":
          this.#note({ is: "breach", where: effect.where });
          break;
        case "change":
          this.#desire(effect.update, now);
      }
    }
  }

  #desire(update: DesiredUpdate, now: Instant): void {
    const { desired, lifecycle, dataPath, uplink } = this.#parts;
    const result = desired.apply(update);
    if (result.is !== "applied") {
      this.#uplinkEffects(uplink.notTaken(result, now), now);
      return;
    }
    uplink.taken();
    if (result.unknown > 0) this.#note({ is: "ignored", entries: result.unknown });
    lifecycle.obey(desired, now);
    const { kinds } = result;
    if (kinds.has("connector") || kinds.has("resource")) dataPath.touch();
    if (kinds.has("connector") || kinds.has("pool")) {
      this.#configure();
      this.#rangesChanged(now);
    }
    this.#lease({ kind: "sessions", from: "controller", ...result.sessions }, now);
  }

  /** Derives what people and the controller are told, and sends what changed of it. */
  #tell(now: Instant): void {
    const { conditions, report, prefixes, uplink } = this.#parts;
    conditions.update(problems(this.#parts), now);
    this.#conditionsDueAtMs = conditions.nextDeadline(now);
    const instance = instanceEntry(this.#parts, now);
    report.setInstance(instance);
    report.setPrefixes(prefixes.observed, prefixes.areAwaited);
    for (const note of this.#changes.notes(instance.status, instance.conditions)) this.#note(note);
    this.#uplinkEffects(uplink.flush(now), now);
  }

  #note(note: Note): void {
    this.#effects.push({ do: "note", note });
  }
}
