import type { ControllerEffect, ControllerInput, LinkId } from "../../controller/core/effects.ts";
import type { Saved } from "../../controller/core/ports.ts";
import { returnWithinMs } from "../../controller/core/settings.ts";
import { Timers } from "../../controller/core/timers.ts";
import type { Verdict } from "../../device/core/probe.ts";
import { Link, type LinkEffect, type LinkInput, linkDefaults } from "../../protocol/link.ts";
import type { ControllerMessage, StateFrame } from "../../protocol/messages.ts";
import type { Attachment } from "../../protocol/state.ts";
import type { Instant } from "../../protocol/time.ts";
import { idOf, keyOf } from "./controller-world.ts";

/** Links of this transport have numbers that the link server never reaches. */
const firstLink = 2 ** 40;
/** Says that a signature is for this transport to vouch for: 86 characters, as any is. */
const vouched = "L".repeat(86);
/** What sockets hand over in one turn of the event loop, about: frames, and connections from the kernel's queue. */
const perTurn = { messages: 512, connections: 128 } as const;

interface Held {
  readonly session: string;
  readonly epoch: number;
  readonly instance: string;
  readonly ipv6: string | undefined;
}

interface LocalDevice {
  readonly number: number;
  /** While it dials; the client's real machine, which decides when to dial again. */
  dialling: Link | undefined;
  link: LinkId;
  revision: number;
  held: Held | undefined;
}

/**
 * Devices in the controller's own process: they stand for the links that one machine has no descriptors for. They say
 * what a device says, as objects instead of frames, and prove nothing, so they cost the controller neither JSON nor
 * cryptography; the thousands beside them that dial over sockets do.
 */
export class LocalDevices {
  readonly #post: (input: ControllerInput) => void;
  readonly #now: () => Instant;
  readonly #devices: LocalDevice[] = [];
  readonly #ofLink = new Map<LinkId, LocalDevice>();
  readonly #retries = new Timers(10);
  #timer: NodeJS.Timeout | undefined;
  #outbox: ControllerInput[] = [];
  readonly #dialled = new Set<LocalDevice>();
  #isPumping = false;
  /** Open links by when they ping next: the period is the same for all, so they stay in order. */
  #pings: { device: LocalDevice; atMs: number }[] = [];
  #heartbeatMs = 0;
  #links = firstLink;
  #open = 0;
  #attached = 0;
  #onAttached: () => void = () => {};

  constructor(options: {
    from: number;
    to: number;
    post: (input: ControllerInput) => void;
    now: () => Instant;
  }) {
    this.#post = options.post;
    this.#now = options.now;
    for (let number = options.from; number < options.to; number++) {
      this.#devices.push({ number, dialling: undefined, link: 0, revision: 0, held: undefined });
    }
    setInterval(() => this.#ping(), 50).unref();
  }

  get counts(): { readonly all: number; readonly open: number; readonly attached: number } {
    return { all: this.#devices.length, open: this.#open, attached: this.#attached };
  }

  /** All of them come, so many at a time; resolves when the last is attached. */
  async login(atOnce: number): Promise<void> {
    let next = 0;
    const start = () => {
      const device = this.#devices[next++];
      if (device !== undefined) this.#toLink(device, { kind: "start" });
    };
    await new Promise<void>((resolve) => {
      this.#onAttached = () => {
        if (this.#attached === this.#devices.length) resolve();
        start();
      };
      for (let i = 0; i < atOnce; i++) start();
    });
    this.#onAttached = () => {};
  }

  /** They hold what is stored, lost their links at a moment, and have dialled in vain since. */
  comeBack({ session, instance }: Saved, lostAtMs: number): void {
    const sessions = new Map(session.map((row) => [row.device, row]));
    const names = new Map(instance.map(({ id, name }) => [id, name]));
    const nowMs = this.#now().monotonicMs;
    for (const device of this.#devices) {
      const row = sessions.get(idOf("2222", device.number));
      if (row?.place.is === "attached") {
        const { instance: on, ipv6 } = row.place;
        device.held = { session: row.id, epoch: row.epoch, instance: names.get(on) ?? "", ipv6 };
        this.#attached += 1;
      }
      device.dialling = dialledInVain({ lostAtMs, nowMs, returnWithinMs: returnWithinMs(sessions.size) });
      this.#wait(device);
    }
  }

  /** The probes of those who are attached there find their path dead. Answers how many. */
  die(instance: string): number {
    let count = 0;
    for (const device of this.#devices) {
      if (device.held?.instance !== instance) continue;
      count += 1;
      this.#say(device, [pathOf(device.held, "dead")], []);
    }
    return count;
  }

  /** Whether an effect was for one of these; then it is done. */
  takes(effect: ControllerEffect): boolean {
    switch (effect.do) {
      case "send":
        if (effect.link < firstLink) return false;
        this.#hear(effect.link, effect.message);
        return true;
      case "close": {
        if (effect.link < firstLink) return false;
        const device = this.#ofLink.get(effect.link);
        if (device !== undefined) this.#closed(device);
        return true;
      }
      case "trust":
        return effect.link >= firstLink;
      case "verify":
        if (effect.signature !== vouched) return false;
        this.#queue({ kind: "verified", effectId: effect.effectId, proven: true, document: undefined });
        return true;
      case "store":
      case "answer":
      case "tell":
        return false;
    }
  }

  #hear(link: LinkId, message: ControllerMessage): void {
    const device = this.#ofLink.get(link);
    if (device === undefined) return;
    if (device.dialling !== undefined) {
      this.#toLink(device, { kind: "received", dialId: dialIdOf(device.dialling), message });
      return;
    }
    if (message.type !== "state") return;
    this.#queue({ kind: "received", link, message: { type: "ack", revision: message.to } });
    for (const [, value] of message.set) this.#told(device, value as Attachment);
  }

  #told(device: LocalDevice, said: Attachment): void {
    if (said.state !== "attached") return;
    const { session, epoch, instance, ipv6 } = said;
    const { held } = device;
    if (held?.session === session && held.epoch >= epoch) return;
    device.held = { session, epoch, instance, ipv6 };
    this.#say(device, wordsOf(device.held), []);
    if (held !== undefined) return;
    this.#attached += 1;
    this.#onAttached();
  }

  #toLink(device: LocalDevice, input: LinkInput): void {
    device.dialling ??= new Link({ ...linkDefaults, random: Math.random });
    for (const effect of device.dialling.handle(input, this.#now())) this.#perform(device, effect);
    this.#wait(device);
  }

  #perform(device: LocalDevice, effect: LinkEffect): void {
    switch (effect.do) {
      case "dial":
        this.#dialled.add(device);
        this.#run();
        return;
      case "prove":
        this.#queue({ kind: "received", link: device.link, message: hello(device.number) });
        return;
      case "up":
        device.dialling = undefined;
        device.revision = 0;
        this.#open += 1;
        this.#pings.push({ device, atMs: this.#now().monotonicMs + effect.welcome.heartbeatMs });
        this.#heartbeatMs = effect.welcome.heartbeatMs;
        this.#say(device, [["device", wish], ...wordsOf(device.held)], []);
        return;
      case "hangUp":
        this.#dialled.delete(device);
        this.#ofLink.delete(device.link);
        this.#queue({ kind: "disconnected", link: device.link });
        return;
      case "send":
      case "down":
      case "refused":
      case "deliver":
        return;
    }
  }

  #closed(device: LocalDevice): void {
    this.#ofLink.delete(device.link);
    if (device.dialling === undefined) throw new Error("the controller cut a device that is well");
    this.#toLink(device, { kind: "closed", dialId: dialIdOf(device.dialling), why: 4000 });
  }

  #say(device: LocalDevice, set: StateFrame["set"], remove: string[]): void {
    const from = device.revision++;
    const message = { type: "state", from, to: from + 1, part: 0, last: true, set, remove } as const;
    this.#queue({ kind: "received", link: device.link, message });
  }

  #queue(input: ControllerInput): void {
    this.#outbox.push(input);
    this.#run();
  }

  #run(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => this.#pump());
  }

  #pump(): void {
    this.#isPumping = false;
    let accepted = 0;
    for (const input of this.#outbox.splice(0, perTurn.messages)) this.#post(input);
    for (const device of this.#dialled) {
      if (accepted === perTurn.connections) break;
      accepted += 1;
      this.#dialled.delete(device);
      device.link = ++this.#links;
      this.#ofLink.set(device.link, device);
      this.#post({ kind: "connected", link: device.link, address: `10.0.${device.number >> 8}.1` });
    }
    if (this.#outbox.length + this.#dialled.size > 0) this.#run();
  }

  #ping(): void {
    const { monotonicMs } = this.#now();
    let due = 0;
    for (const { device, atMs } of this.#pings) {
      if (atMs > monotonicMs) break;
      due += 1;
      this.#queue({ kind: "received", link: device.link, message: { type: "ping", id: 1 } });
    }
    if (due === 0) return;
    const pinged = this.#pings.splice(0, due);
    for (const { device, atMs } of pinged) this.#pings.push({ device, atMs: atMs + this.#heartbeatMs });
  }

  #wait({ number, dialling }: LocalDevice): void {
    const atMs = dialling?.nextDeadline();
    if (atMs === undefined) this.#retries.delete(String(number));
    else this.#retries.set(String(number), atMs);
    this.#timer ??= setTimeout(() => this.#tick(), 10);
  }

  #tick(): void {
    this.#timer = undefined;
    const [first] = this.#devices;
    for (const number of this.#retries.take(this.#now().monotonicMs)) {
      const device = this.#devices[Number(number) - (first?.number ?? 0)];
      if (device?.dialling !== undefined) this.#toLink(device, { kind: "tick" });
    }
    if (this.#retries.next() !== undefined) this.#timer ??= setTimeout(() => this.#tick(), 10);
  }
}

/** A link that was lost at a moment, with a controller that has refused all connections until now. */
function dialledInVain(when: { lostAtMs: number; nowMs: number; returnWithinMs: number }): Link {
  const { lostAtMs, nowMs, returnWithinMs } = when;
  const link = new Link({ ...linkDefaults, random: Math.random });
  const lost = { monotonicMs: lostAtMs, wallMs: 0 };
  link.handle({ kind: "start" }, lost);
  for (const message of [challenge, { ...welcome, returnWithinMs }])
    link.handle({ kind: "received", dialId: dialIdOf(link), message }, lost);
  link.handle({ kind: "closed", dialId: dialIdOf(link), why: 1006 }, lost);
  for (let atMs = link.nextDeadline(); atMs !== undefined && atMs < nowMs; atMs = link.nextDeadline()) {
    const at = { monotonicMs: atMs, wallMs: 0 };
    for (const effect of link.handle({ kind: "tick" }, at)) {
      if (effect.do === "dial")
        link.handle({ kind: "closed", dialId: effect.dialId, why: "link.unreachable" }, at);
    }
  }
  return link;
}

const challenge = {
  type: "challenge",
  nonce: keyOf("nonce", 0),
  version: 1,
  minimumVersion: 1,
  controller: idOf("0000", 0),
  wallMs: 0,
} as const;
const welcome = {
  type: "welcome",
  version: 1,
  heartbeatMs: 20_000,
  silentMs: 60_000,
  name: "device",
} as const;

const wish = { wants: "attached", hostOs: "Debian GNU/Linux 13", version: "0.1.0", probes: true };

function hello(number: number) {
  return {
    type: "hello",
    role: "device",
    version: 1,
    minimumVersion: 1,
    software: "0.1.0",
    signature: vouched,
    identityKey: keyOf("device", number),
    wireguardKey: keyOf("tunnel", number),
    wallMs: 0,
  } as const;
}

function wordsOf(held: Held | undefined): StateFrame["set"] {
  if (held === undefined) return [];
  const { session, epoch, instance, ipv6 } = held;
  const entry = { session, epoch, instance, ...(ipv6 === undefined ? {} : { ipv6 }) };
  return [["held", entry], pathOf(held, "alive")];
}

function pathOf({ session, epoch, instance }: Held, verdict: Verdict): StateFrame["set"][number] {
  return ["path", { session, epoch, instance, verdict, sinceMs: 1_800_000_000_000 }];
}

function dialIdOf({ state }: Link): number {
  return "dialId" in state ? state.dialId : 0;
}
