import type { Core } from "../../protocol/core.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import {
  Link,
  type LinkEffect,
  type LinkInput,
  type LinkSettings,
  type LinkState,
} from "../../protocol/link.ts";
import type { ControllerMessage, StateFrame } from "../../protocol/messages.ts";
import type { Secret } from "../../protocol/secret.ts";
import { type Attachment, deviceDesired, parseEntry } from "../../protocol/state.ts";
import { StateReceiver, StateSender } from "../../protocol/sync.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import { Admission } from "./admission.ts";
import { type Attached, decide, type Wants } from "./attachment.ts";
import type { DeviceEffect, DeviceEvent, DeviceInput } from "./effects.ts";
import { type Host, observedSource, type PathVerdict } from "./observed.ts";
import type { Hold, SavedState } from "./saved.ts";

export interface DeviceSettings extends Host {
  readonly link: LinkSettings;
  readonly wants: Wants;
  readonly code: Secret | undefined;
  readonly saved: SavedState;
}

/**
 * The device: joins once, then keeps the attachment the controller gives it, through lost links, controllers that are
 * away and its own restarts, until it is told of a newer one, logs out or is removed.
 */
export class Device implements Core<DeviceInput, DeviceEffect> {
  readonly #link: Link;
  readonly #sender: StateSender;
  readonly #receiver = new StateReceiver();
  readonly #admission: Admission;
  #hold: Hold;
  #wants: Wants;
  /** What carries the tunnel's traffic, where there is a tunnel. */
  #carrier: Attached | undefined;
  #path: PathVerdict | undefined;
  /** Held when a controller was behind: said again, it tells it, also while the traffic goes by what that one knows of. */
  #ahead: Hold | undefined;
  #refusal: SavedState["refusal"];
  #saves = 0;
  /** A controller that is away is told of once, not at every dial. */
  #toldWhy: FailureCode | undefined;

  constructor(settings: DeviceSettings) {
    const { saved, wants, code } = settings;
    this.#link = new Link(settings.link);
    this.#admission = new Admission(saved.standing, code);
    this.#wants = wants;
    this.#hold = wants === "detached" ? { is: "nothing" } : saved.hold;
    this.#refusal = saved.refusal;
    const carrier = () => (this.#ahead === this.#hold ? undefined : this.#carrier);
    const now = () => ({ hold: this.#hold, wants: this.#wants, carrier: carrier(), path: this.#path });
    this.#sender = new StateSender(observedSource(settings, now));
  }

  get hold(): Hold {
    return this.#hold;
  }

  get linkState(): LinkState {
    return this.#link.state;
  }

  handle(input: DeviceInput, now: Instant): readonly DeviceEffect[] {
    const effects = this.#handle(input, now);
    const frames = this.#sender.frames(now.monotonicMs);
    return [
      ...effects,
      ...frames.flatMap((message) => this.#toLink({ kind: "send", message }, now)),
      ...(this.#link.state.kind === "open" && this.#admission.spendCode()
        ? [{ do: "removeCode" } as const]
        : []),
    ];
  }

  nextDeadline(): number | undefined {
    return earliest(this.#link.nextDeadline(), this.#sender.nextDeadline());
  }

  #handle(input: DeviceInput, now: Instant): readonly DeviceEffect[] {
    switch (input.kind) {
      case "start":
        // First, and with nobody in reach: the tunnel needs no controller.
        return [this.#lead(), ...this.#dial(now)];
      case "retry":
        return this.#dial(now);
      case "stop":
        return this.#toLink({ kind: "stop" }, now);
      case "link":
        return this.#toLink(input.input, now);
      case "code":
        return this.#admission.offer(input.code) ? this.#dial(now) : [];
      case "wants":
        return this.#wantsChanged(input.wants, now);
      case "saved":
        this.#admission.saved(input.effectId);
        return [];
      case "carries":
        this.#carrier = input.path;
        this.#sender.touch("held");
        return this.#pathIs(undefined, now);
      case "verdict":
        return this.#pathIs({ on: input.path, verdict: input.verdict, sinceMs: now.wallMs }, now);
      case "saveFailed":
        return [tell({ is: "unsaved", why: input.why })];
      case "tick":
        return this.#toLink({ kind: "tick" }, now);
    }
  }

  #dial(now: Instant): readonly DeviceEffect[] {
    if (!this.#admission.canProve) return [tell({ is: "stopped", why: "code.missing" })];
    const kind = this.#link.state.kind === "idle" ? "start" : "retry";
    return this.#toLink({ kind }, now);
  }

  /** Logging out lets go at once and without the controller; logging in asks it to say its word again. */
  #wantsChanged(wants: Wants, now: Instant): readonly DeviceEffect[] {
    if (wants === this.#wants) return [];
    this.#wants = wants;
    this.#sender.touch("device");
    switch (wants) {
      case "detached":
        return this.#take({ is: "nothing" });
      case "attached":
        return this.#toLink({ kind: "send", message: { type: "resync" } }, now);
    }
  }

  #toLink(input: LinkInput, now: Instant): readonly DeviceEffect[] {
    const before = this.#link.state.kind;
    const effects = this.#link.handle(input, now).flatMap((effect) => this.#fromLink(effect, now));
    return this.#link.state.kind === before ? effects : [...effects, ...this.#linkChanged(now)];
  }

  #fromLink(effect: LinkEffect, now: Instant): readonly DeviceEffect[] {
    switch (effect.do) {
      case "dial":
      case "send":
      case "hangUp":
        return [effect];
      case "prove":
        return [{ ...effect, with: this.#admission.prove() }];
      case "up":
        return this.#up();
      case "down":
        this.#sender.disconnect();
        return [];
      case "refused":
        this.#refusal = { code: effect.why, atMs: now.wallMs };
        return [this.#save()];
      case "deliver":
        return this.#deliver(effect.message, now);
    }
  }

  #up(): readonly DeviceEffect[] {
    this.#sender.connect();
    this.#receiver.connect();
    this.#toldWhy = undefined;
    const isNews = this.#admission.welcomed(this.#saves + 1) || this.#refusal !== undefined;
    this.#refusal = undefined;
    return [tell({ is: "linked" }), ...(isNews ? [this.#save()] : [])];
  }

  #linkChanged(now: Instant): readonly DeviceEffect[] {
    const state = this.#link.state;
    switch (state.kind) {
      case "idle":
      case "dialling":
      case "proving":
      case "open":
        return [];
      case "waiting": {
        if (state.why === this.#toldWhy) return [];
        this.#toldWhy = state.why;
        return [tell({ is: "waiting", why: state.why, retryInMs: state.retryAtMs - now.monotonicMs })];
      }
      case "stopped":
        return this.#stopped(state.why, now);
    }
  }

  #stopped(why: FailureCode, now: Instant): readonly DeviceEffect[] {
    const next = this.#admission.refused(why);
    // Removed: the instance serves this device no more. Merely unknown may be a controller that lost its memory.
    const letGo = why === "link.removed" ? this.#take({ is: "nothing" }) : [this.#save()];
    switch (next) {
      case "try code":
        return [...letGo, ...this.#toLink({ kind: "retry" }, now)];
      case "stop":
        return [...letGo, tell({ is: "stopped", why })];
    }
  }

  #deliver(message: ControllerMessage, now: Instant): readonly DeviceEffect[] {
    switch (message.type) {
      case "joined": {
        const as = { device: message.device, user: message.user, group: message.group };
        this.#admission.joined(as, this.#saves + 1);
        return [this.#save(), tell({ is: "joined", as })];
      }
      case "state":
        return this.#received(message, now);
      case "ack":
        this.#sender.acked(message.revision);
        return [];
      case "resync":
        this.#sender.resync();
        return [];
      // The link keeps these to itself, and an agent's answer is not for a device.
      case "challenge":
      case "welcome":
      case "refused":
      case "pong":
      case "enrolled":
        return this.#toLink({ kind: "breach", close: "malformed", why: "protocol.out-of-order" }, now);
    }
  }

  #received(frame: StateFrame, now: Instant): readonly DeviceEffect[] {
    const received = this.#receiver.receive(frame);
    switch (received.is) {
      case "part":
        return [];
      case "repeated":
        return this.#toLink({ kind: "send", message: { type: "ack", revision: received.ack } }, now);
      case "gap":
        return this.#toLink({ kind: "send", message: { type: "resync" } }, now);
      case "too-many":
        return this.#toLink({ kind: "breach", close: "tooLarge", why: "protocol.too-large" }, now);
      case "change":
        return this.#changed(received.set, received.ack, now);
    }
  }

  /** An attachment that is not named is one the controller has not decided: what is held stays. */
  #changed(set: ReadonlyMap<string, unknown>, revision: number, now: Instant): readonly DeviceEffect[] {
    const parsed = [...set].map(([key, value]) => parseEntry(deviceDesired, key, value));
    if (parsed.some((entry) => entry.is === "malformed")) {
      return this.#toLink({ kind: "breach", close: "malformed", why: "protocol.malformed" }, now);
    }
    return [
      ...parsed.flatMap((entry) => (entry.is === "entry" ? this.#told(entry.entry.value, now) : [])),
      ...this.#toLink({ kind: "send", message: { type: "ack", revision } }, now),
    ];
  }

  #told(said: Attachment, now: Instant): readonly DeviceEffect[] {
    const decision = decide(this.#hold, this.#wants, said, now.wallMs);
    if (decision.take) return this.#take(decision.hold);
    if (decision.because !== "older epoch" || this.#hold.is !== "attached" || said.state !== "attached")
      return [];
    this.#ahead = this.#hold;
    this.#sender.touch("held");
    return [tell({ is: "older", said, heldEpoch: this.#hold.to.epoch })];
  }

  #take(hold: Hold): readonly DeviceEffect[] {
    const before = this.#hold;
    this.#hold = hold;
    this.#sender.touch("held");
    return [this.#save(), this.#lead(), tell({ is: "hold", hold, before })];
  }

  #lead(): DeviceEffect {
    return { do: "lead", to: attachedIn(this.#hold) };
  }

  /** Whose path is dead needs the controller for another. */
  #pathIs(path: PathVerdict | undefined, now: Instant): readonly DeviceEffect[] {
    this.#path = path;
    this.#sender.touch("path");
    return this.#toLink({ kind: "urgent", isOn: path?.verdict === "dead" }, now);
  }

  #save(): DeviceEffect {
    const state: SavedState = {
      format: 1,
      standing: this.#admission.standing,
      hold: this.#hold,
      ...(this.#refusal === undefined ? {} : { refusal: this.#refusal }),
    };
    return { do: "save", effectId: ++this.#saves, state };
  }
}

function attachedIn(hold: Hold): Attached | undefined {
  return hold.is === "attached" ? hold.to : undefined;
}

function tell(event: DeviceEvent): DeviceEffect {
  return { do: "tell", event };
}
