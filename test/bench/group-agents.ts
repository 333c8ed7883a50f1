/** The instances of a bench's group, in a process of their own: links as an agent has them, leases in memory. */

import { uplinkSettings } from "../../agent/core/uplink.ts";
import type { Core } from "../../protocol/core.ts";
import { Link, type LinkEffect, type LinkInput } from "../../protocol/link.ts";
import { type ClientMessage, proofText, type StateFrame } from "../../protocol/messages.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { Dialer } from "../../protocol/node/dialer.ts";
import { Driver } from "../../protocol/node/driver.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import { StateReceiver, StateSender } from "../../protocol/sync.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import { keyOf } from "./controller-world.ts";
import { answerParent, optionsOfChild } from "./group-child.ts";
import { identityOf } from "./group-keys.ts";
import { addressesOf, dialsFrom, rangeOf } from "./group-world.ts";

export interface AgentsOptions {
  readonly url: string;
  readonly instances: number;
}

/** Addresses of the pool, of which an instance never needs more than this. */
const total = 65_536;

interface Grant {
  readonly epoch: number;
  readonly offset: number;
}

/** What an agent is to the controller: it grants what it is told, at once, and reports it. Nothing is written to a disk. */
class BenchAgent implements Core<LinkInput, LinkEffect> {
  readonly link = new Link({ ...uplinkSettings, random: Math.random });
  readonly #receiver = new StateReceiver();
  readonly #sender: StateSender;
  readonly #number: number;
  readonly #addressAt: (offset: number) => string;
  readonly #granted = new Map<string, Grant>();
  readonly #free: number[] = [];
  #used = 0;
  /** When the controller acknowledged what it said since its link came up; undefined until it has. */
  heardAtMs: number | undefined;

  constructor(number: number) {
    this.#number = number;
    this.#addressAt = addressesOf(number);
    this.#sender = new StateSender({ keys: () => this.#keys(), get: (key) => this.#entry(key) });
  }

  handle(input: LinkInput, now: Instant): readonly LinkEffect[] {
    const effects = this.link.handle(input, now).flatMap((effect) => this.#effect(effect, now));
    const frames = this.#sender.frames(now.monotonicMs);
    return [...effects, ...frames.flatMap((message) => this.link.handle({ kind: "send", message }, now))];
  }

  nextDeadline(): number | undefined {
    return earliest(this.link.nextDeadline(), this.#sender.nextDeadline());
  }

  #effect(effect: LinkEffect, now: Instant): readonly LinkEffect[] {
    switch (effect.do) {
      case "up":
        this.#receiver.connect();
        this.#sender.connect();
        this.heardAtMs = undefined;
        return [];
      case "down":
        this.#sender.disconnect();
        return [];
      case "deliver":
        switch (effect.message.type) {
          case "ack":
            this.#sender.acked(effect.message.revision);
            this.heardAtMs ??= now.monotonicMs;
            return [];
          case "state":
            return this.#received(effect.message, now);
          default:
            throw new Error(`the controller says ${effect.message.type}`);
        }
      case "refused":
        return [];
      case "dial":
      case "prove":
      case "send":
      case "hangUp":
        return [effect];
    }
  }

  #received(frame: StateFrame, now: Instant): readonly LinkEffect[] {
    const got = this.#receiver.receive(frame);
    if (got.is === "part") return [];
    if (got.is !== "change") throw new Error(`a frame that is ${got.is}`);
    if (got.snapshot) for (const id of this.#granted.keys()) if (!got.set.has(`session/${id}`)) this.#end(id);
    for (const key of got.remove) if (key.startsWith("session/")) this.#end(key.slice(8));
    for (const [key, value] of got.set) {
      if (key.startsWith("session/")) this.#grant(key.slice(8), value as SessionSpec);
    }
    return this.link.handle({ kind: "send", message: { type: "ack", revision: got.ack } }, now);
  }

  #grant(id: string, { epoch }: SessionSpec): void {
    const before = this.#granted.get(id);
    if (before?.epoch === epoch) return;
    this.#granted.set(id, { epoch, offset: before?.offset ?? this.#free.shift() ?? this.#used++ });
    this.#touch(id);
  }

  #end(id: string): void {
    const grant = this.#granted.get(id);
    if (grant === undefined) return;
    this.#granted.delete(id);
    this.#free.push(grant.offset);
    this.#touch(id);
  }

  #touch(id: string): void {
    this.#sender.touch(`session/${id}`);
    this.#sender.touch("pool/Pool1");
  }

  *#keys(): Iterable<string> {
    yield "instance";
    yield "prefixes";
    yield "pool/Pool1";
    for (const id of this.#granted.keys()) yield `session/${id}`;
  }

  #entry(key: string): unknown {
    switch (key) {
      case "instance": {
        const managementIp = `172.18.0.${this.#number}`;
        const words = { status: "Active", conditions: [], version: "0.1.0", upSinceMs: 1, activeAgents: 0 };
        return { ...words, managementIp, endpoint: `${managementIp}:51820` };
      }
      case "prefixes":
        return { ipv4: [], ipv6: [rangeOf(this.#number)], vpcCidrs: ["172.18.0.0/16"], readAtMs: 1 };
      case "pool/Pool1": {
        const leased = this.#granted.size;
        return { total, leased, cooling: 0, quarantined: 0, free: total - leased };
      }
    }
    const grant = this.#granted.get(key.slice(8));
    if (grant === undefined) return undefined;
    return { outcome: "granted", epoch: grant.epoch, ipv6: this.#addressAt(grant.offset) };
  }

  get sessions(): number {
    return this.#granted.size;
  }

  /** Grants this session another address, as one does that has lost its database. */
  readdress(id: string): string | undefined {
    const grant = this.#granted.get(id);
    if (grant === undefined) return undefined;
    const offset = this.#used++;
    this.#granted.set(id, { ...grant, offset });
    this.#touch(id);
    return this.#addressAt(offset);
  }
}

const { url, instances } = optionsOfChild<AgentsOptions>();

/** Between a ping and its pong, ms. */
let pongsMs: number[] = [];

/** How often an instance pings besides its heartbeat while that is looked at: no moment of a storm is missed. */
const probeEveryMs = 500;
/** Above those of the link's own pings. */
const firstProbe = 1_000_000;
let isProbing = false;

/** The instance's host: its agent's process while that runs. */
class Host {
  readonly agent: BenchAgent;
  readonly #number: number;
  #stop: (() => void) | undefined;
  #driver: Driver<LinkInput, LinkEffect> | undefined;

  constructor(number: number) {
    this.#number = number;
    this.agent = new BenchAgent(number);
  }

  get isRunning(): boolean {
    return this.#stop !== undefined;
  }

  start(): void {
    const identity = identityOf("agent", this.#number);
    const pingedAtMs = new Map<number, number>();
    const post = (input: LinkInput) => {
      if (input.kind === "received" && input.message.type === "pong") {
        const { id } = input.message;
        pongsMs.push(systemClock().monotonicMs - (pingedAtMs.get(id) ?? Number.NaN));
        pingedAtMs.delete(id);
      }
      driver.post(input);
    };
    const dialer = new Dialer({
      controller: url,
      localAddress: dialsFrom("agent", this.#number),
      post,
      onUnknown: () => {},
    });
    const send = (dialId: number, message: ClientMessage) => {
      if (message.type === "ping") pingedAtMs.set(message.id, systemClock().monotonicMs);
      dialer.send(dialId, message);
    };
    let probes = firstProbe;
    const probing = setInterval(() => {
      const { state } = this.agent.link;
      if (isProbing && state.kind === "open") send(state.dialId, { type: "ping", id: ++probes });
    }, probeEveryMs);
    const perform = (effect: LinkEffect) => {
      switch (effect.do) {
        case "dial":
          dialer.dial(effect.dialId);
          return;
        case "hangUp":
          dialer.hangUp(effect.dialId, effect.close);
          return;
        case "send":
          send(effect.dialId, effect.message);
          return;
        case "prove": {
          const words = { version: 1, minimumVersion: 1, software: "0.1.0", wallMs: Date.now() };
          const { publicKey: identityKey } = identity;
          const signature = identity.sign(proofText("agent", effect.challenge, identityKey));
          const wireguardKey = keyOf("wireguard", this.#number);
          const proof = { ...words, identityKey, signature, wireguardKey };
          dialer.send(effect.dialId, { type: "hello", role: "agent", ...proof });
          return;
        }
        case "up":
        case "down":
        case "refused":
        case "deliver":
          return;
      }
    };
    const driver = new Driver<LinkInput, LinkEffect>({
      core: this.agent,
      perform: (effects) => {
        for (const effect of effects) perform(effect);
      },
      tick: { kind: "tick" },
      clock: systemClock,
    });
    this.#driver = driver;
    driver.post({ kind: "start" });
    this.#stop = () => {
      clearInterval(probing);
      driver[Symbol.dispose]();
      dialer[Symbol.dispose]();
      // The next process of it knows its leases and no link.
      this.agent.handle({ kind: "stop" }, systemClock());
    };
  }

  /** The host is gone: no word, and no answer any more. */
  lose(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  readdress(session: string): string | undefined {
    const address = this.agent.readdress(session);
    this.#driver?.post({ kind: "tick" });
    return address;
  }
}

const hosts = Array.from({ length: instances }, (_, i) => new Host(i));
const hostOf = (number: number): Host => {
  const host = hosts[number];
  if (host === undefined) throw new Error(`no instance ${number}`);
  return host;
};

const handlers = {
  start: () => {
    for (const host of hosts) if (!host.isRunning) host.start();
  },
  /** How many are up and heard, and when the last of them was. */
  heard: () => {
    const heard = hosts.filter(
      ({ agent }) => agent.link.state.kind === "open" && agent.heardAtMs !== undefined,
    );
    return { count: heard.length, atMs: Math.max(0, ...heard.map(({ agent }) => agent.heardAtMs ?? 0)) };
  },
  lose: (number: number) => hostOf(number).lose(),
  sessions: (number: number) => hostOf(number).agent.sessions,
  readdress: ({ number, session }: { number: number; session: string }) => hostOf(number).readdress(session),
  probe: (isOn: boolean) => {
    isProbing = isOn;
  },
  /** What the pongs took since this was asked last, ms. */
  pongs: () => {
    const taken = pongsMs.toSorted((a, b) => a - b);
    pongsMs = [];
    return { count: taken.length, medianMs: taken[taken.length >> 1] ?? 0, worstMs: taken.at(-1) ?? 0 };
  },
};
export type AgentsChild = typeof handlers;
answerParent(handlers);
