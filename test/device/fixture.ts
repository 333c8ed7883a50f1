import type { Wants } from "../../device/core/attachment.ts";
import { Device } from "../../device/core/device.ts";
import type { DeviceEffect, DeviceInput } from "../../device/core/effects.ts";
import { nothingSaved, type SavedState } from "../../device/core/saved.ts";
import { linkDefaults } from "../../protocol/link.ts";
import type { ClientMessage, ControllerMessage } from "../../protocol/messages.ts";
import type { Secret } from "../../protocol/secret.ts";
import type { Attachment } from "../../protocol/state.ts";

const key = "A".repeat(43);
const sessionId = "6f1d3c1e-8f0a-4d53-9d4b-0d9f2a6f3b11";
export const deviceId = "0b6c5c6e-33a5-4f0e-9a5e-0f5b6f2b7c22";

export function attached(epoch: number, over: Partial<Extract<Attachment, { state: "attached" }>> = {}) {
  return {
    state: "attached" as const,
    session: sessionId,
    epoch,
    instance: "aws-us-east-1-con-00001",
    endpoint: "172.18.139.4:51820",
    wireguardKey: key,
    ipv4: "172.18.128.17",
    dns: { primary: "172.18.0.2" },
    mtu: 1420,
    routes: ["10.0.0.0/8"],
    domains: [],
    ...over,
  };
}

/** A device core under a clock that only the test moves, and a controller that the test plays. */
export class Bench {
  readonly device: Device;
  nowMs = 1_000;
  dialId = 0;
  sent: ClientMessage[] = [];
  done: DeviceEffect[] = [];
  saved: SavedState;
  /** False: every write fails. */
  isDiskFine = true;
  #revision = 0;

  constructor(given: { saved?: SavedState; code?: Secret; wants?: Wants } = {}) {
    this.saved = given.saved ?? nothingSaved;
    this.device = new Device({
      link: { ...linkDefaults, random: () => 0.5 },
      hostOs: "Debian GNU/Linux 13 (trixie)",
      version: "0.1.0",
      probes: true,
      wants: given.wants ?? "attached",
      code: given.code,
      saved: this.saved,
    });
    this.give({ kind: "start" });
  }

  give(input: DeviceInput): readonly DeviceEffect[] {
    const effects = this.device.handle(input, {
      monotonicMs: this.nowMs,
      wallMs: 1_700_000_000_000 + this.nowMs,
    });
    this.done.push(...effects);
    for (const effect of effects) {
      if (effect.do === "dial") this.dialId = effect.dialId;
      if (effect.do === "send") this.sent.push(effect.message);
      if (effect.do === "save") this.#save(effect);
    }
    return effects;
  }

  says(message: ControllerMessage): readonly DeviceEffect[] {
    return this.give({ kind: "link", input: { kind: "received", dialId: this.dialId, message } });
  }

  closes(why: number): readonly DeviceEffect[] {
    return this.give({ kind: "link", input: { kind: "closed", dialId: this.dialId, why } });
  }

  challenges(): readonly DeviceEffect[] {
    const [nonce, controller] = [key, deviceId];
    return this.says({ type: "challenge", nonce, controller, version: 1, minimumVersion: 1, wallMs: 0 });
  }

  refuses(code: string): readonly DeviceEffect[] {
    return [...this.says({ type: "refused", code, text: "no" }), ...this.closes(4000)];
  }

  joins(): readonly DeviceEffect[] {
    return this.says({ type: "joined", device: deviceId, user: "ana", group: "staff" });
  }

  welcomes(): readonly DeviceEffect[] {
    this.#revision = 0;
    return this.says({ type: "welcome", version: 1, heartbeatMs: 10_000, silentMs: 30_000, name: "laptop" });
  }

  /** Challenge and welcome, as on every connection after the first. */
  links(): void {
    this.challenges();
    this.welcomes();
  }

  /** The desired attachment, as the next change. */
  wants(attachment: Attachment): readonly DeviceEffect[] {
    const from = this.#revision;
    this.#revision += 1;
    return this.says({
      type: "state",
      from,
      to: this.#revision,
      part: 0,
      last: true,
      set: [["attachment", attachment]],
      remove: [],
    });
  }

  /** What the device has reported when every change of it is acknowledged. */
  observed(): Map<string, unknown> {
    for (let acked = -1; acked !== this.#lastReported(); ) {
      acked = this.#lastReported();
      this.says({ type: "ack", revision: acked });
    }
    const observed = new Map<string, unknown>();
    for (const frame of this.sent) {
      if (frame.type !== "state") continue;
      if (frame.from === 0) observed.clear();
      for (const [key, value] of frame.set) observed.set(key, value);
      for (const key of frame.remove) observed.delete(key);
    }
    return observed;
  }

  #lastReported(): number {
    return this.sent.reduce((last, message) => (message.type === "state" ? message.to : last), 0);
  }

  /** To the next deadline, and over it. */
  wait(): readonly DeviceEffect[] {
    this.nowMs = Math.max(this.nowMs, this.device.nextDeadline() ?? this.nowMs);
    return this.give({ kind: "tick" });
  }

  #save(effect: Extract<DeviceEffect, { do: "save" }>): void {
    const { effectId } = effect;
    if (this.isDiskFine) this.saved = effect.state;
    this.give(
      this.isDiskFine ? { kind: "saved", effectId } : { kind: "saveFailed", effectId, why: "store.full" },
    );
  }
}

export const member: SavedState = {
  format: 1,
  standing: { is: "member", as: { device: deviceId, user: "ana", group: "staff" } },
  hold: { is: "nothing" },
};
