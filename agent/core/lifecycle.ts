import type { DrainReason } from "../../protocol/specs.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { StatusView } from "../../protocol/view.ts";
import type { Problem } from "./conditions.ts";
import { Departure } from "./departure.ts";
import type { Desired } from "./desired.ts";
import { type Hold, Holds } from "./holds.ts";
import type { LifecycleState, Look, NoticesReading } from "./notice-shapes.ts";
import { Notices } from "./notices.ts";

/** What a rebalance recommendation leads to. */
export type OnRebalance = "show" | "drain";

export type LifecycleEffect =
  /** Answer with `noticesRead`. */
  | { readonly do: "readNotices"; readonly effectId: number; readonly look: Look }
  /** The rolling restart with this id has this process end, for another to be started. */
  | { readonly do: "restart"; readonly id: string }
  /** The goodbye is due: nothing holds the process any more. */
  | { readonly do: "left"; readonly reason: DrainReason; readonly sessions: number };

/** Before AWS takes the machine away the controller still has to move whoever is left. */
const spotGoodbyeMs = 5_000;

/** Whether this instance takes sessions, and whether it stays: people's words, AWS's notices, and the way out. */
export class Lifecycle {
  readonly holds: Holds;
  readonly #notices = new Notices();
  readonly #departure = new Departure();
  readonly #onRebalance: OnRebalance;
  readonly #process: string;
  #restart: "not told" | { readonly id: string } | "done" = "not told";

  constructor(saved: readonly Hold[], onRebalance: OnRebalance, process: string) {
    this.#onRebalance = onRebalance;
    this.#process = process;
    const isObeyed = ({ reason }: Hold) => reason !== "rebalance" || onRebalance === "drain";
    this.holds = new Holds(saved.filter(isObeyed));
  }

  /** It has said goodbye: whoever was told so must not find it on the link again. */
  get hasLeft(): boolean {
    return this.#departure.state.kind === "left";
  }

  /** It was asked to leave for good, and did not get to its goodbye yet. */
  get leavesBy(): DrainReason | undefined {
    const { state } = this.#departure;
    return state.kind === "leaving" && state.whenEmpty ? state.reason : undefined;
  }

  /** `forMs`: until when a person wants it done, for those who look. Nothing ends by itself. */
  hold(reason: DrainReason, isOn: boolean, now: Instant, forMs?: number): void {
    const untilMs = forMs === undefined ? undefined : Math.floor(now.wallMs + forMs);
    this.holds.set(reason, isOn, now.wallMs, untilMs);
  }

  /** What the controller wants. A restart that names another process has been done: this one came of it. */
  obey({ drain, restart }: Pick<Desired, "drain" | "restart">, now: Instant): void {
    this.hold("admin", drain !== undefined, now);
    const mine = restart?.process === this.#process ? restart : undefined;
    // Told to go without having drained, it need not begin.
    this.hold("restart", mine !== undefined && (!mine.go || this.holds.has("restart")), now);
    if (this.#restart !== "done") this.#restart = mine?.go === true ? { id: mine.id } : "not told";
  }

  /** Leaves the group: goodbye when nobody is left, and after `forMs` in any case. */
  leave(forMs: number, now: Instant): void {
    this.hold("shutdown", true, now, forMs);
    this.#departure.leave("shutdown", { untilMs: now.monotonicMs + forMs, whenEmpty: true });
  }

  noticesRead(effectId: number, reading: NoticesReading, now: Instant): void {
    if (!this.#notices.take(effectId, reading, now)) return;
    const { spot, rebalance, autoscaling } = this.#notices;
    if (spot !== undefined) this.#spot(spot.value?.atMs, now);
    if (rebalance !== undefined && this.#onRebalance === "drain") {
      this.holds.set("rebalance", rebalance.value !== undefined, now.wallMs);
    }
    if (autoscaling !== undefined) {
      this.holds.set("autoscaling", !isWanted(autoscaling.value), now.wallMs);
    }
  }

  next(sessions: number, now: Instant): LifecycleEffect[] {
    this.holds.count(sessions);
    const look = this.#notices.next(now);
    const reason = this.#departure.next(sessions, now);
    return [
      ...(look === undefined ? [] : [{ do: "readNotices", ...look } as const]),
      ...(reason === undefined ? [] : [{ do: "left", reason, sessions } as const]),
      ...this.#endForAnother(),
    ];
  }

  /** Who is leaving for good is not brought back by it. */
  #endForAnother(): LifecycleEffect[] {
    if (typeof this.#restart === "string" || this.#departure.state.kind !== "staying") return [];
    const { id } = this.#restart;
    this.#restart = "done";
    return [{ do: "restart", id }];
  }

  problems(): Problem[] {
    const { reasons } = this.holds;
    const draining: Problem = { code: "instance.draining", facts: { reason: [...reasons].join(" ") } };
    return [...(reasons.size === 0 ? [] : [draining]), ...this.#notices.problems()];
  }

  view(now: Instant): Pick<StatusView, "drain" | "draining" | "departure"> {
    const { view, reasons } = this.holds;
    const departure = this.#departureView(now);
    return {
      drain: [...reasons],
      ...(view === undefined ? {} : { draining: view }),
      ...(departure === undefined ? {} : { departure }),
    };
  }

  nextDeadline(): number | undefined {
    return earliest(this.#notices.nextDeadline(), this.#departure.nextDeadline());
  }

  /** AWS says when it takes the machine. Shortly before, whoever is left is given up; who is gone by then has moved whole. */
  #spot(atMs: number | undefined, now: Instant): void {
    if (atMs === undefined) {
      this.holds.set("spot", false, now.wallMs);
      this.#departure.stay("spot");
      return;
    }
    // The same notice, read again every few seconds, moves nothing.
    if (!this.holds.set("spot", true, now.wallMs, atMs) && this.#departure.isAskedBy("spot")) return;
    // Hibernation begins at once, and clocks may differ: a move gets a few seconds in any case.
    const inMs = Math.max(spotGoodbyeMs, atMs - now.wallMs - spotGoodbyeMs);
    this.#departure.leave("spot", { untilMs: now.monotonicMs + inMs, whenEmpty: false });
  }

  #departureView(now: Instant): StatusView["departure"] {
    const { state } = this.#departure;
    switch (state.kind) {
      case "staying":
        return undefined;
      case "leaving": {
        const untilMs = Math.floor(now.wallMs + state.untilMs - now.monotonicMs);
        return { state: "leaving", reason: state.reason, untilMs };
      }
      case "left": {
        const { reason, sessions, at } = state;
        return { state: "left", reason, sessions, atMs: Math.floor(at.wallMs) };
      }
    }
  }
}

/** Whether the Auto Scaling group wants this instance in service. One that it let go of, or has none, is nobody's to end. */
function isWanted(state: LifecycleState | undefined): boolean {
  switch (state) {
    case undefined:
    case "InService":
    case "Detached":
      return true;
    case "Standby":
    case "Terminated":
    case "Warmed:Hibernated":
    case "Warmed:Running":
    case "Warmed:Stopped":
    case "Warmed:Terminated":
      return false;
  }
}
