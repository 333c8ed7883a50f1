/** Devices of a bench's group, in a process of their own: the device's real core on real sockets, without a tunnel. */
import type { Attached, Wants } from "../../device/core/attachment.ts";
import { Device } from "../../device/core/device.ts";
import type { DeviceEffect, DeviceInput } from "../../device/core/effects.ts";
import type { Verdict } from "../../device/core/probe.ts";
import { nothingSaved } from "../../device/core/saved.ts";
import { linkDefaults } from "../../protocol/link.ts";
import { type Challenge, proofText } from "../../protocol/messages.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { Dialer } from "../../protocol/node/dialer.ts";
import { Driver } from "../../protocol/node/driver.ts";
import { keyOf } from "./controller-world.ts";
import { answerParent, optionsOfChild } from "./group-child.ts";
import { identityOf } from "./group-keys.ts";
import { dialsFrom } from "./group-world.ts";

export interface DevicesOptions {
  readonly url: string;
  readonly devices: number;
}

const { url, devices: count } = optionsOfChild<DevicesOptions>();
let onAttached: () => void = () => {};
let throttled = 0;

class Host {
  readonly core = new Device({
    link: { ...linkDefaults, random: Math.random },
    hostOs: "Debian GNU/Linux 13",
    version: "0.1.0",
    probes: true,
    wants: "attached",
    code: undefined,
    saved: { ...nothingSaved, standing: { is: "member" } },
  });
  /** Where its tunnel leads, as it would within milliseconds. */
  at: Attached | undefined;
  movedAtMs = 0;
  readonly number: number;
  readonly #identity: ReturnType<typeof identityOf>;
  readonly #dialer: Dialer;
  readonly #driver: Driver<DeviceInput, DeviceEffect>;

  constructor(number: number) {
    this.number = number;
    this.#identity = identityOf("device", number);
    this.#dialer = new Dialer({
      controller: url,
      localAddress: dialsFrom("device", number),
      post: (input) => this.post({ kind: "link", input }),
      onUnknown: () => {},
    });
    this.#driver = new Driver<DeviceInput, DeviceEffect>({
      core: this.core,
      perform: (effects) => {
        for (const effect of effects) this.#perform(effect);
      },
      tick: { kind: "tick" },
      clock: systemClock,
    });
  }

  post(input: DeviceInput): void {
    this.#driver.post(input);
  }

  want(wants: Wants): void {
    this.post({ kind: "wants", wants });
  }

  find(verdict: Verdict): void {
    if (this.at !== undefined) this.post({ kind: "verdict", path: this.at, verdict });
  }

  #perform(effect: DeviceEffect): void {
    switch (effect.do) {
      case "dial":
        this.#dialer.dial(effect.dialId);
        return;
      case "prove":
        this.#prove(effect.dialId, effect.challenge);
        return;
      case "send":
        this.#dialer.send(effect.dialId, effect.message);
        return;
      case "hangUp":
        this.#dialer.hangUp(effect.dialId, effect.close);
        return;
      case "save":
        this.post({ kind: "saved", effectId: effect.effectId });
        return;
      case "lead":
        this.#lead(effect.to);
        return;
      case "removeCode":
        return;
      case "tell":
        if (effect.event.is === "waiting" && effect.event.why === "link.throttled") throttled += 1;
        return;
    }
  }

  #lead(to: Attached | undefined): void {
    if (to?.session === this.at?.session && to?.epoch === this.at?.epoch) {
      this.at = to;
      return;
    }
    const isFirst = this.at === undefined;
    this.at = to;
    this.movedAtMs = systemClock().monotonicMs;
    this.post({ kind: "carries", path: to });
    this.find("alive");
    if (isFirst && to !== undefined) onAttached();
  }

  #prove(dialId: number, challenge: Challenge): void {
    const { publicKey: identityKey } = this.#identity;
    this.#dialer.send(dialId, {
      type: "hello",
      role: "device",
      version: 1,
      minimumVersion: 1,
      software: "0.1.0",
      identityKey,
      wireguardKey: keyOf("tunnel", this.number),
      signature: this.#identity.sign(proofText("device", challenge, identityKey)),
      wallMs: Date.now(),
    });
  }
}

const hosts = Array.from({ length: count }, (_, i) => new Host(i));
const attachedTo = (instance: string) => hosts.filter(({ at }) => at?.instance === instance);

const handlers = {
  /** All of them come, so many at a time; answers when the last is attached. */
  login: async (atOnce: number) => {
    let next = 0;
    let attached = 0;
    const start = () => hosts[next++]?.post({ kind: "start" });
    await new Promise<void>((resolve) => {
      onAttached = () => {
        if (++attached === hosts.length) resolve();
        start();
      };
      for (let i = 0; i < atOnce; i++) start();
    });
    onAttached = () => {};
  },
  counts: () => ({
    open: hosts.filter(({ core }) => core.linkState.kind === "open").length,
    attached: hosts.filter(({ at }) => at !== undefined).length,
    throttled,
  }),
  /** The probes of those who are attached there find their path dead. Answers their numbers. */
  die: (instance: string) => {
    const dead = attachedTo(instance);
    for (const host of dead) host.find("dead");
    return dead.map(({ number }) => number);
  },
  want: ({ number, wants }: { number: number; wants: Wants }) => hosts[number]?.want(wants),
  /** What each holds, by number. */
  attachments: () =>
    hosts.map(({ at }) => {
      if (at === undefined) return null;
      const { session, epoch, instance, ipv6 } = at;
      return { session, epoch, instance, ipv6 };
    }),
  /** When one took a new attachment last. */
  movedAtMs: () => hosts.reduce((latest, { movedAtMs }) => Math.max(latest, movedAtMs), 0),
};
export type DevicesChild = typeof handlers;
answerParent(handlers);
