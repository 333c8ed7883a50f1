import type { DataPathPlan } from "../../agent/core/ports.ts";
import type { Counters } from "../../device/core/probe.ts";
import type { Echo, Question } from "../../device/core/question.ts";
import type { TunnelPlan } from "../../device/core/tunnel-plan.ts";
import type { Agenda } from "./agenda.ts";
import type { Blocked } from "./network.ts";
import type { Random } from "./random.ts";

/** One peer of an instance. Who is set anew has no keys. */
interface InstancePeer {
  readonly session: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** The handshakes it takes packets of: the latest, and the one before until then. */
  keys: number[];
  heardAtMs: number | undefined;
}

/** What an instance's kernel holds: outlives the agent, not the host. */
export class InstanceKernel {
  readonly publicKey: string;
  readonly data: Blocked = { out: false, in: false };
  isUp = true;
  peers = new Map<string, InstancePeer>();
  routes: readonly string[] = [];

  constructor(publicKey: string) {
    this.publicKey = publicKey;
  }

  /** As differences: who stays keeps its keys. */
  bring(plan: DataPathPlan): void {
    const peers = new Map<string, InstancePeer>();
    for (const { wireguardKey, session, ipv4, ipv6 } of plan.peers) {
      const before = this.peers.get(wireguardKey);
      const { keys, heardAtMs } = before ?? { keys: [], heardAtMs: undefined };
      const isSame = before?.session === session;
      peers.set(wireguardKey, { session, ipv4, ipv6, keys, heardAtMs: isSame ? heardAtMs : undefined });
    }
    this.peers = peers;
    this.routes = plan.routes;
  }

  crash(): void {
    this.isUp = false;
    this.peers = new Map();
    this.routes = [];
  }

  /** How it differs from the plan, in words. */
  drift(plan: DataPathPlan | undefined): string[] {
    if (plan === undefined) return [];
    const wanted = new Map(plan.peers.map((peer) => [peer.wireguardKey, peer]));
    const missing = [...wanted.keys()].filter((key) => {
      const held = this.peers.get(key);
      const peer = wanted.get(key);
      return held === undefined || held.ipv4 !== peer?.ipv4 || held.ipv6 !== peer?.ipv6;
    });
    const foreign = [...this.peers.keys()].filter((key) => !wanted.has(key));
    return [
      ...missing.map((key) => `peer ${key} is missing`),
      ...foreign.map((key) => `peer ${key} is foreign`),
    ];
  }
}

interface DevicePeer {
  readonly publicKey: string;
  endpoint: string | undefined;
  keys: number | undefined;
  handshakeAtS: number | undefined;
  rxBytes: number;
  txBytes: number;
  triedAtMs: number;
  heardAtMs: number;
}

/** The device's side of WireGuard, with the packets between: each may be lost, either way. */
export class DeviceKernel {
  readonly publicKey: string;
  readonly data: Blocked = { out: false, in: false };
  plan: TunnelPlan | undefined;
  /** When an echo over the path that carries the traffic was answered last, and whose it was. */
  answered: { readonly atMs: number; readonly by: string } | undefined;
  readonly #peers = new Map<string, DevicePeer>();
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #loss: number;
  readonly #delayMs: { readonly min: number; readonly max: number };
  readonly #find: (endpoint: string) => InstanceKernel | undefined;
  #keys = 0;

  constructor(options: {
    publicKey: string;
    agenda: Agenda;
    random: Random;
    loss: number;
    delayMs: { readonly min: number; readonly max: number };
    find: (endpoint: string) => InstanceKernel | undefined;
  }) {
    this.publicKey = options.publicKey;
    this.#agenda = options.agenda;
    this.#random = options.random;
    this.#loss = options.loss;
    this.#delayMs = options.delayMs;
    this.#find = options.find;
  }

  bring(plan: TunnelPlan, afresh: string | undefined): void {
    const wanted = new Set(plan.peers.map(({ publicKey }) => publicKey));
    for (const key of this.#peers.keys()) if (!wanted.has(key)) this.#peers.delete(key);
    for (const { publicKey, endpoint } of plan.peers) {
      const known = publicKey === afresh ? undefined : this.#peers.get(publicKey);
      if (known !== undefined) {
        known.endpoint = endpoint;
        continue;
      }
      const heardAtMs = this.#agenda.nowMs;
      const peer: DevicePeer = {
        ...{ publicKey, endpoint, keys: undefined, handshakeAtS: undefined },
        ...{ rxBytes: 0, txBytes: 0, triedAtMs: Number.NEGATIVE_INFINITY, heardAtMs },
      };
      this.#peers.set(publicKey, peer);
      this.#shakeHands(peer, () => {});
    }
    this.plan = plan;
  }

  reading(publicKey: string): (Counters & { readonly handshakeAtS: number | undefined }) | undefined {
    return this.#peers.get(publicKey);
  }

  /** The instance that would get a packet now, and take it; whatever the keys are. */
  carrier(): InstanceKernel | undefined {
    const [first] = this.plan?.peers ?? [];
    if (first?.endpoint === undefined) return undefined;
    const instance = this.#reach(first.endpoint, first.publicKey);
    return instance !== undefined && this.#isMine(instance) ? instance : undefined;
  }

  /** Echoes one after the other, until the first is answered or the time is over. */
  ask(question: Question, then: (echo: Echo) => void): void {
    const { echoes, forMs } = questions[question];
    const [first] = this.plan?.peers ?? [];
    const peer = first && this.#peers.get(first.publicKey);
    if (peer === undefined) {
      then({ is: "unsent" });
      return;
    }
    let isOver = false;
    let sent = 0;
    const end = (echo: Echo) => {
      if (!isOver) then(echo);
      isOver = true;
    };
    const send = () => {
      if (isOver) return;
      sent += 1;
      const lost = sent - 1;
      const sentAtMs = this.#agenda.nowMs;
      this.#echo(peer, () => end({ is: "answered", lost, rttMs: this.#agenda.nowMs - sentAtMs }));
      if (sent < echoes) this.#agenda.after(200, send);
    };
    this.#agenda.after(forMs, () => end({ is: "silent" }));
    const isStale = this.#agenda.nowMs - peer.heardAtMs > 15_000;
    if (peer.keys === undefined || isStale) this.#shakeHands(peer, send);
    else send();
  }

  #echo(peer: DevicePeer, answered: () => void): void {
    const { keys } = peer;
    peer.txBytes += 100;
    this.#send(peer, "out", (instance) => {
      const held = instance.peers.get(this.publicKey);
      if (held === undefined || keys === undefined || !held.keys.includes(keys) || !this.#isMine(instance))
        return;
      held.heardAtMs = this.#agenda.nowMs;
      this.#send(peer, "in", () => {
        if (peer.keys !== keys) return;
        peer.rxBytes += 100;
        peer.heardAtMs = this.#agenda.nowMs;
        this.answered = { atMs: this.#agenda.nowMs, by: peer.publicKey };
        answered();
      });
    });
  }

  /** Not more often than WireGuard does (REKEY_TIMEOUT, 5 s). */
  #shakeHands(peer: DevicePeer, then: () => void): void {
    if (this.#agenda.nowMs - peer.triedAtMs < 5_000) return;
    peer.triedAtMs = this.#agenda.nowMs;
    const keys = ++this.#keys;
    this.#agenda.after(5_000, () => {
      if (this.#peers.get(peer.publicKey) === peer && peer.keys === undefined)
        this.#shakeHands(peer, () => {});
    });
    this.#send(peer, "out", (instance) => {
      const held = instance.peers.get(this.publicKey);
      if (held === undefined) return;
      held.keys = [keys, ...held.keys.slice(0, 1)];
      held.heardAtMs = this.#agenda.nowMs;
      this.#send(peer, "in", () => {
        if (this.#peers.get(peer.publicKey) !== peer) return;
        peer.keys = keys;
        peer.handshakeAtS = Math.floor(this.#agenda.nowMs / 1_000);
        peer.heardAtMs = this.#agenda.nowMs;
        peer.rxBytes += 100;
        then();
      });
    });
  }

  #send(peer: DevicePeer, way: "out" | "in", arrives: (instance: InstanceKernel) => void): void {
    if (this.#random.chance(this.#loss)) return;
    this.#agenda.after(this.#random.between(this.#delayMs.min, this.#delayMs.max), () => {
      const instance = peer.endpoint === undefined ? undefined : this.#find(peer.endpoint);
      if (instance === undefined || !instance.isUp || instance.publicKey !== peer.publicKey) return;
      const isBlocked = way === "out" ? this.data.out || instance.data.in : this.data.in || instance.data.out;
      if (!isBlocked) arrives(instance);
    });
  }

  #reach(endpoint: string, publicKey: string): InstanceKernel | undefined {
    const instance = this.#find(endpoint);
    if (instance === undefined || !instance.isUp || instance.publicKey !== publicKey) return undefined;
    const isBlocked = this.data.out || this.data.in || instance.data.in || instance.data.out;
    return isBlocked ? undefined : instance;
  }

  /** The instance takes packets from the addresses this device has: from these of this peer and no others. */
  #isMine(instance: InstanceKernel): boolean {
    const held = instance.peers.get(this.publicKey);
    const [first] = this.plan?.network.addresses ?? [];
    const address = first?.slice(0, first.indexOf("/"));
    return held !== undefined && address !== undefined && (address === held.ipv4 || address === held.ipv6);
  }
}

const questions = {
  long: { echoes: 5, forMs: 1_000 },
  short: { echoes: 3, forMs: 500 },
} as const satisfies Record<Question, { echoes: number; forMs: number }>;
