import { limits } from "./limits.ts";
import type { StateFrame } from "./messages.ts";

/**
 * Revisioned maps over a link that may lose, repeat or reorder frames.
 *
 * The sender keeps no copy of the values: it remembers which keys changed and reads them from `source` when it
 * builds a frame. One change is on its way at a time; what changes meanwhile gathers for the next, so a receiver that
 * is slow gets fewer and larger changes, never a growing queue.
 */
export interface StateSource {
  keys(): Iterable<string>;
  /** The value now, or undefined when the key is no more. */
  get(key: string): unknown;
}

/** How long an unacknowledged change waits before it is sent again, ms. */
const resendAfterMs = 10_000;

export class StateSender {
  readonly #source: StateSource;
  /** BOUNDED: keys of the source, plus those removed since the last change was sent. */
  #changed = new Set<string>();
  #inFlight:
    | { readonly keys: ReadonlySet<string>; readonly to: number; readonly sentAtMs: number }
    | undefined;
  #acked = 0;
  #revision = 0;
  #connected = false;

  constructor(source: StateSource) {
    this.#source = source;
  }

  /** A new connection: the receiver has nothing, so the next change is a snapshot. */
  connect(): void {
    this.#connected = true;
    this.#restart();
  }

  disconnect(): void {
    this.#connected = false;
    this.#inFlight = undefined;
    this.#changed.clear();
  }

  touch(key: string): void {
    if (this.#connected) this.#changed.add(key);
  }

  /** The receiver lacks something in between. */
  resync(): void {
    if (this.#connected) this.#restart();
  }

  acked(revision: number): void {
    if (this.#inFlight?.to !== revision) return;
    this.#acked = revision;
    this.#inFlight = undefined;
  }

  /** The frames to send now: none while a change is on its way or when nothing changed. */
  frames(nowMs: number): StateFrame[] {
    if (!this.#connected) return [];
    if (this.#inFlight !== undefined) {
      if (nowMs < this.#inFlight.sentAtMs + resendAfterMs) return [];
      for (const key of this.#inFlight.keys) this.#changed.add(key);
    } else if (this.#acked > 0 && this.#changed.size === 0) return [];
    const keys = this.#acked === 0 ? new Set([...this.#source.keys()]) : this.#changed;
    this.#changed = new Set();
    this.#revision += 1;
    this.#inFlight = { keys, to: this.#revision, sentAtMs: nowMs };
    return inParts(this.#source, keys, this.#acked, this.#revision);
  }

  nextDeadline(): number | undefined {
    return this.#inFlight === undefined ? undefined : this.#inFlight.sentAtMs + resendAfterMs;
  }

  #restart(): void {
    this.#acked = 0;
    this.#inFlight = undefined;
    this.#changed.clear();
  }
}

function inParts(source: StateSource, keys: Iterable<string>, from: number, to: number): StateFrame[] {
  const frames: StateFrame[] = [];
  let frame: StateFrame = { type: "state", from, to, part: 0, last: false, set: [], remove: [] };
  for (const key of keys) {
    if (frame.set.length + frame.remove.length === limits.entriesPerFrameMax) {
      frames.push(frame);
      frame = { type: "state", from, to, part: frames.length, last: false, set: [], remove: [] };
    }
    const value = source.get(key);
    if (value !== undefined) frame.set.push([key, value]);
    else if (from > 0) frame.remove.push(key);
  }
  frames.push({ ...frame, last: true });
  return frames;
}

export type Received =
  /** Apply this, whole, then acknowledge `ack`. With `snapshot`, every key that is not named is gone. */
  | {
      readonly is: "change";
      readonly snapshot: boolean;
      readonly set: ReadonlyMap<string, unknown>;
      readonly remove: readonly string[];
      readonly ack: number;
    }
  /** More parts follow. */
  | { readonly is: "part" }
  /** Seen before; acknowledge again, the first acknowledgement may be lost. */
  | { readonly is: "repeated"; readonly ack: number }
  | { readonly is: "gap" }
  | { readonly is: "too-many" };

export class StateReceiver {
  #held = 0;
  readonly #entriesMax: number;
  /** BOUNDED: `entriesMax` entries, in as many frames as a sender that fills them needs. */
  #parts: { from: number; to: number; next: number; set: Map<string, unknown>; remove: string[] } | undefined;

  constructor(entriesMax: number = limits.entriesMax) {
    this.#entriesMax = entriesMax;
  }

  /** A new connection: revisions start anew. */
  connect(): void {
    this.#held = 0;
    this.#parts = undefined;
  }

  receive(frame: StateFrame): Received {
    if (frame.to <= this.#held) return { is: "repeated", ack: this.#held };
    if (frame.from > this.#held) return { is: "gap" };
    if (frame.part === 0) {
      this.#parts = { from: frame.from, to: frame.to, next: 0, set: new Map(), remove: [] };
    }
    const parts = this.#parts;
    if (
      parts === undefined ||
      parts.to !== frame.to ||
      parts.from !== frame.from ||
      frame.part > parts.next
    ) {
      return { is: "gap" };
    }
    if (frame.part < parts.next) return { is: "part" };
    parts.next += 1;
    for (const [key, value] of frame.set) parts.set.set(key, value);
    parts.remove.push(...frame.remove);
    const isTooLong = parts.next > Math.ceil(this.#entriesMax / limits.entriesPerFrameMax);
    if (isTooLong || parts.set.size + parts.remove.length > this.#entriesMax) {
      this.#parts = undefined;
      return { is: "too-many" };
    }
    if (!frame.last) return { is: "part" };
    this.#parts = undefined;
    this.#held = frame.to;
    return { is: "change", snapshot: frame.from === 0, set: parts.set, remove: parts.remove, ack: frame.to };
  }
}
