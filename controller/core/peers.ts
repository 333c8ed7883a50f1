import { limits } from "../../protocol/limits.ts";
import type { Enrol, Hello, Join, Role } from "../../protocol/messages.ts";
import { StateReceiver, StateSender, type StateSource } from "../../protocol/sync.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { LinkId } from "./effects.ts";

export type Request = Hello | Enrol | Join;

/** A link from its upgrade to its end; the client's side of the same is protocol/link.ts. */
export type PeerState =
  /** It was sent a nonce. */
  | { readonly kind: "challenged"; readonly nonce: string; readonly deadlineMs: number }
  /** Its signature is being verified. */
  | {
      readonly kind: "proving";
      readonly effectId: number;
      readonly request: Request;
      readonly deadlineMs: number;
    }
  /** Its proof is good; the decision about it waits for the store. */
  | { readonly kind: "deciding"; readonly request: Request }
  | {
      readonly kind: "open";
      readonly role: Role;
      /** Of the instance or device. */
      readonly id: string;
      readonly silentMs: number;
      readonly sender: StateSender;
      readonly receiver: StateReceiver;
    };

export interface Peer {
  readonly link: LinkId;
  readonly address: string;
  state: PeerState;
  heard: Instant;
  /** Its deadline is not before this: what is heard moves that on without a word, so it is worked out only then. */
  lookAtMs: number;
}

export type OpenPeer = Peer & { state: PeerState & { kind: "open" } };

const entriesMax: Readonly<Record<Role, number>> = {
  agent: limits.entriesMax,
  device: limits.deviceEntriesMax,
};

/** All links by number, and the one open link of each identity. */
export class Peers {
  /** BOUNDED: strangers by `strangersMax`, the rest by instances and devices, each with one link. */
  readonly #peers = new Map<LinkId, Peer>();
  readonly #byIdentity = new Map<string, Peer>();
  readonly #proving = new Map<number, Peer>();
  /** Those that have not answered their challenge, the oldest first. BOUNDED: `strangersMax` */
  readonly #challenged = new Set<Peer>();
  readonly #counts = { agent: 0, device: 0 };
  /** Links that may have frames to send at the end of this turn. */
  readonly #touched = new Set<Peer>();

  get(link: LinkId): Peer | undefined {
    return this.#peers.get(link);
  }

  all(): Iterable<Peer> {
    return this.#peers.values();
  }

  counts(): { agents: number; devices: number; strangers: number } {
    const { agent, device } = this.#counts;
    return { agents: agent, devices: device, strangers: this.#peers.size - agent - device };
  }

  add(link: LinkId, address: string, nonce: string, now: Instant, deadlineMs: number): void {
    const peer: Peer = {
      link,
      address,
      state: { kind: "challenged", nonce, deadlineMs },
      heard: now,
      lookAtMs: 0,
    };
    this.#peers.set(link, peer);
    this.#challenged.add(peer);
  }

  /** Who has been silent longest since its challenge. */
  oldestChallenged(): Peer | undefined {
    const [oldest] = this.#challenged;
    return oldest;
  }

  proves(peer: Peer, state: PeerState & { kind: "proving" }): void {
    peer.state = state;
    this.#challenged.delete(peer);
    this.#proving.set(state.effectId, peer);
  }

  /** The peer whose proof was verified under this number, if it is still waiting for that. */
  proven(effectId: number): { peer: Peer; request: Request } | undefined {
    const peer = this.#proving.get(effectId);
    this.#proving.delete(effectId);
    return peer?.state.kind === "proving" ? { peer, request: peer.state.request } : undefined;
  }

  /** Opens a link. The identity has no other: the older one was cut before. */
  open(
    peer: Peer,
    who: { readonly role: Role; readonly id: string; readonly silentMs: number },
    source: StateSource,
  ): void {
    const sender = new StateSender(source);
    const receiver = new StateReceiver(entriesMax[who.role]);
    sender.connect();
    receiver.connect();
    peer.state = { kind: "open", ...who, sender, receiver };
    this.#byIdentity.set(`${who.role}/${who.id}`, peer);
    this.#counts[who.role] += 1;
    this.#touched.add(peer);
  }

  of(role: Role, id: string): Peer | undefined {
    return this.#byIdentity.get(`${role}/${id}`);
  }

  /** Forgets a link. Nothing that it still says is heard. */
  remove(link: LinkId): Peer | undefined {
    const peer = this.#peers.get(link);
    if (peer === undefined) return undefined;
    this.#peers.delete(link);
    this.#touched.delete(peer);
    this.#challenged.delete(peer);
    const { state } = peer;
    if (state.kind === "proving") this.#proving.delete(state.effectId);
    if (state.kind === "open") {
      this.#byIdentity.delete(`${state.role}/${state.id}`);
      this.#counts[state.role] -= 1;
    }
    return peer;
  }

  /** An entry of what this instance or device should be has changed. */
  touch(role: Role, id: string, key: string): void {
    const peer = this.of(role, id);
    if (peer?.state.kind !== "open") return;
    peer.state.sender.touch(key);
    this.#touched.add(peer);
  }

  /** There may be something to send to this peer: it acknowledged, or asked for a snapshot. */
  stir(peer: Peer): void {
    this.#touched.add(peer);
  }

  takeTouched(): Peer[] {
    const touched = [...this.#touched];
    this.#touched.clear();
    return touched;
  }
}

/** When a link is to be cut if nothing more is heard, or its change sent again. */
export function deadlineOf({ state, heard }: Peer): number | undefined {
  switch (state.kind) {
    case "challenged":
    case "proving":
      return state.deadlineMs;
    case "deciding":
      return undefined;
    case "open":
      return earliest(heard.monotonicMs + state.silentMs, state.sender.nextDeadline());
  }
}
