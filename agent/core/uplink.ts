import type { FailureCode } from "../../protocol/failures.ts";
import { Link, type LinkEffect, type LinkInput, type LinkState, linkDefaults } from "../../protocol/link.ts";
import type { Challenge, ControllerMessage, StateFrame, Welcome } from "../../protocol/messages.ts";
import { StateReceiver } from "../../protocol/sync.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { DesiredResult, DesiredUpdate } from "./desired.ts";
import type { EnrolmentRecord } from "./identity.ts";
import type { Report } from "./report.ts";

export type UplinkEffect =
  | Extract<LinkEffect, { do: "dial" | "send" | "hangUp" }>
  | { readonly do: "challenged"; readonly dialId: number; readonly challenge: Challenge }
  | { readonly do: "enrolled"; readonly enrolment: EnrolmentRecord }
  | { readonly do: "up"; readonly welcome: Welcome }
  | { readonly do: "down"; readonly why: FailureCode }
  | { readonly do: "refused"; readonly why: FailureCode; readonly text: string }
  /** Apply this whole, and say `taken`, then `acknowledge` when it is on disk; or `notTaken` when it cannot be. */
  | { readonly do: "change"; readonly update: DesiredUpdate }
  | { readonly do: "breached"; readonly where: string };

/** Why the link is not up, as far as it was tried. */
export interface Trouble {
  readonly why: FailureCode;
  /** The controller's own words, where it spoke. */
  readonly text: string | undefined;
}

/** There are 64 of them at most, and everybody's sessions wait for them: they come back before the devices do. */
export const uplinkSettings = { ...linkDefaults, backoffMaxMs: 5_000 } as const;

/** How long a second process of this identity stays in view: the two take the link from each other every few seconds. */
const contestedForMs = 5 * 60_000;

const tooMany = "more entries than a map may have";

/** The controller as the agent sees it: the link, the changes that come down it, and the reports that go up. */
export class Uplink {
  readonly #link: Link;
  readonly #report: Report;
  readonly #receiver = new StateReceiver();
  #trouble: Trouble | undefined;
  #isRemoved = false;
  #contestedUntilMs: number | undefined;
  /** The revision that was received whole, on this connection, and not acknowledged yet. */
  #toAcknowledge: number | undefined;

  constructor(report: Report, random: () => number) {
    this.#report = report;
    this.#link = new Link({ ...uplinkSettings, random });
  }

  get state(): LinkState {
    return this.#link.state;
  }

  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  /**
   * The controller has removed this instance from the group, and has not said since whom it is to serve: a welcome alone
   * says nothing about those it served before.
   */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** Another process has connected with this identity, in the last minutes. */
  get isContested(): boolean {
    return this.#contestedUntilMs !== undefined;
  }

  handle(input: LinkInput, now: Instant): UplinkEffect[] {
    const effects = this.#link.handle(input, now).flatMap((effect) => this.#effect(effect, now));
    const { state } = this;
    const isOver = state.kind === "waiting" || state.kind === "stopped";
    if (isOver && this.#trouble?.why !== state.why) this.#trouble = { why: state.why, text: undefined };
    if (isOver && state.why === "link.superseded") this.#contestedUntilMs = now.monotonicMs + contestedForMs;
    else if (now.monotonicMs >= (this.#contestedUntilMs ?? 0)) this.#contestedUntilMs = undefined;
    return effects;
  }

  /** What was received is what is wanted now. */
  taken(): void {
    this.#isRemoved = false;
  }

  /** Nothing of what was received can be. */
  notTaken(why: Exclude<DesiredResult, { is: "applied" }>, now: Instant): UplinkEffect[] {
    switch (why.is) {
      case "malformed":
        return this.#breach("protocol.malformed", why.where, now);
      case "tooMany":
        return this.#breach("protocol.too-large", tooMany, now);
    }
  }

  /** What was received is on disk. */
  acknowledge(now: Instant): UplinkEffect[] {
    const revision = this.#toAcknowledge;
    if (revision === undefined) return [];
    this.#toAcknowledge = undefined;
    return this.handle({ kind: "send", message: { type: "ack", revision } }, now);
  }

  #breach(why: FailureCode, where: string, now: Instant): UplinkEffect[] {
    const effects = this.handle({ kind: "breach", close: "malformed", why }, now);
    return [{ do: "breached", where: where.slice(0, 256) }, ...effects];
  }

  /** Sends what is to report now. */
  flush(now: Instant): UplinkEffect[] {
    return this.#report
      .frames(now.monotonicMs)
      .flatMap((message) => this.handle({ kind: "send", message }, now));
  }

  nextDeadline(): number | undefined {
    return earliest(this.#link.nextDeadline(), this.#report.nextDeadline(), this.#contestedUntilMs);
  }

  #effect(effect: LinkEffect, now: Instant): UplinkEffect[] {
    switch (effect.do) {
      case "dial":
      case "send":
      case "hangUp":
        return [effect];
      case "prove":
        return [{ ...effect, do: "challenged" }];
      case "up":
        this.#trouble = undefined;
        this.#receiver.connect();
        this.#toAcknowledge = undefined;
        this.#report.connect();
        return [effect];
      case "down":
        this.#isRemoved ||= effect.why === "link.removed";
        this.#report.disconnect();
        return [effect];
      case "refused":
        this.#trouble = { why: effect.why, text: effect.text };
        this.#isRemoved ||= effect.why === "link.removed";
        return [effect];
      case "deliver":
        return this.#delivered(effect.message, now);
    }
  }

  #delivered(message: ControllerMessage, now: Instant): UplinkEffect[] {
    switch (message.type) {
      case "enrolled": {
        const { instance, name, connector } = message;
        return [{ do: "enrolled", enrolment: { instance, name, connector } }];
      }
      case "state":
        return this.#received(message, now);
      case "ack":
        this.#report.acked(message.revision);
        return [];
      case "resync":
        this.#report.resync();
        return [];
      case "joined":
        return this.#breach("protocol.out-of-order", "joined: an agent enrols", now);
      // The link keeps these to itself.
      case "challenge":
      case "welcome":
      case "refused":
      case "pong":
        return [];
    }
  }

  #received(frame: StateFrame, now: Instant): UplinkEffect[] {
    const received = this.#receiver.receive(frame);
    switch (received.is) {
      case "part":
        return [];
      case "repeated":
        this.#toAcknowledge = received.ack;
        return [];
      case "gap":
        return this.handle({ kind: "send", message: { type: "resync" } }, now);
      case "too-many":
        return this.#breach("protocol.too-large", tooMany, now);
      case "change":
        this.#toAcknowledge = received.ack;
        return [{ do: "change", update: received }];
    }
  }
}
