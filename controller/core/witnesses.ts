import type { Instant } from "../../protocol/time.ts";
import { type Escape, Escapes } from "./escapes.ts";
import type { Fleet } from "./fleet.ts";
import type { Model } from "./model.ts";
import type { CoreSettings } from "./settings.ts";
import { add, networkOf, type Speaker, Tally, type Words } from "./tally.ts";

export type Word = "alive" | "dead";

interface Heard extends Speaker {
  readonly instance: string;
  readonly epoch: number;
  readonly word: Word;
  /** It is dead and was alive: the device knows what a path that works is like. */
  readonly hasTurned: boolean;
}

/** What is said about one instance. */
export interface Said {
  readonly alive: Words;
  readonly dead: Words;
  /** Of the dead, those who knew it alive; and who has left it for a dead path and is well elsewhere. */
  readonly turned: Words;
  /** Those who turned are of one network, and others of it are well on other instances. */
  readonly isNetworkWell: boolean;
}

type Counts = Readonly<Record<"alive" | "dead" | "turned", Tally>>;

/**
 * What devices that are on a link say of the path of the session they have now, counted by instance as it changes. What a
 * device says of an earlier epoch or another instance counts for nobody.
 */
export class Witnesses {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #escapes: Escapes;
  /** BOUNDED: devices. */
  readonly #heard = new Map<string, Heard>();
  /** BOUNDED: instances. */
  readonly #counts = new Map<string, Counts>();
  /** By network and instance, how many say alive. BOUNDED: devices. */
  readonly #well = new Map<string, number>();
  /** By network, of how many instances somebody says alive. BOUNDED: devices. */
  readonly #wellIn = new Map<string, number>();

  constructor(model: Model, fleet: Fleet, settings: Pick<CoreSettings, "holdDownMs">) {
    this.#model = model;
    this.#fleet = fleet;
    this.#escapes = new Escapes(settings);
  }

  wordOf(device: string): Word | undefined {
    return this.#heard.get(device)?.word;
  }

  of(instance: string): Said {
    const counts = this.#counts.get(instance) ?? nobody;
    const network = counts.turned.onlyNetwork;
    if (network === undefined) return { ...counts, isNetworkWell: false };
    const here = this.#well.has(wellKey(network, instance)) ? 1 : 0;
    return { ...counts, isNetworkWell: (this.#wellIn.get(network) ?? 0) > here };
  }

  /** Looks anew at what a device says; answers the instances about which that says something new. */
  look(device: string): readonly string[] {
    const before = this.#heard.get(device);
    const after = this.#heardNow(device, before);
    if (isSame(before, after)) return [];
    const changed = new Set<string>();
    if (before !== undefined) this.#count(before, -1, changed);
    if (after === undefined) this.#heard.delete(device);
    else {
      this.#heard.set(device, after);
      this.#count(after, 1, changed);
      if (after.word === "alive") this.#isWell(device, after.instance, changed);
    }
    return [...changed];
  }

  /** A device was moved because its path there was dead. */
  left(device: string, instance: string, now: Instant): void {
    const speaker = this.#speaker(device);
    if (speaker === undefined) return;
    const over = this.#escapes.begin(device, { instance, ...speaker }, now);
    if (over !== undefined) this.#countTurned(over, -1);
  }

  /** An instance has come back: what led those away who left it is over. */
  isBack(instance: string): void {
    for (const one of this.#escapes.forget(instance)) this.#countTurned(one, -1);
  }

  /** Instances about which an old word counts no longer. */
  expire(now: Instant): readonly string[] {
    const over = this.#escapes.take(now);
    for (const one of over) this.#countTurned(one, -1);
    return over.map(({ instance }) => instance);
  }

  nextDeadline(): number | undefined {
    return this.#escapes.nextDeadline();
  }

  #heardNow(device: string, before: Heard | undefined): Heard | undefined {
    const session = this.#model.sessionByDevice.get(device);
    const facts = this.#fleet.device(device);
    if (session?.place.is !== "attached" || facts?.link === undefined) return undefined;
    const { path } = facts;
    const { instance } = session.place;
    const { epoch } = session;
    if (path?.session !== session.id || path.epoch !== epoch) return undefined;
    if (path.instance !== this.#model.instances.get(instance)?.name) return undefined;
    const speaker = this.#speaker(device);
    if (speaker === undefined) return undefined;
    const isOfBefore = before?.instance === instance && before.epoch === epoch;
    const wasAlive = isOfBefore && (before.word === "alive" || before.hasTurned);
    return {
      instance,
      epoch,
      word: path.verdict,
      hasTurned: path.verdict === "dead" && wasAlive,
      ...speaker,
    };
  }

  #speaker(device: string): Speaker | undefined {
    const user = this.#model.devices.get(device)?.user;
    return user === undefined ? undefined : { user, network: networkOf(this.#fleet.device(device)?.address) };
  }

  #count(heard: Heard, by: 1 | -1, changed: Set<string>): void {
    const { instance, word, hasTurned, network } = heard;
    const counts = this.#countsOf(instance);
    counts[word].count(heard, by);
    if (hasTurned) counts.turned.count(heard, by);
    this.#keep(instance, counts);
    changed.add(instance);
    if (word !== "alive") return;
    const key = wellKey(network, instance);
    const wasWell = this.#well.has(key);
    add(this.#well, key, by);
    if (this.#well.has(key) === wasWell) return;
    add(this.#wellIn, network, by);
    // Who complains from there is believed now, or is not any more.
    for (const [id, { turned }] of this.#counts) if (turned.onlyNetwork === network) changed.add(id);
  }

  #isWell(device: string, instance: string, changed: Set<string>): void {
    const news = this.#escapes.isWell(device, instance);
    if (news === undefined) return;
    this.#countTurned(news.of, news.is === "proven" ? 1 : -1);
    changed.add(news.of.instance);
  }

  #countTurned(one: Escape, by: 1 | -1): void {
    const counts = this.#countsOf(one.instance);
    counts.turned.count(one, by);
    this.#keep(one.instance, counts);
  }

  #countsOf(instance: string): Counts {
    return this.#counts.get(instance) ?? none();
  }

  #keep(instance: string, counts: Counts): void {
    if (counts.alive.devices + counts.dead.devices + counts.turned.devices === 0)
      this.#counts.delete(instance);
    else this.#counts.set(instance, counts);
  }
}

const wellKey = (network: string, instance: string) => `${network} ${instance}`;
const none = (): Counts => ({ alive: new Tally(), dead: new Tally(), turned: new Tally() });
const nobody = none();

function isSame(a: Heard | undefined, b: Heard | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const isSamePath = a.instance === b.instance && a.epoch === b.epoch && a.word === b.word;
  return isSamePath && a.hasTurned === b.hasTurned && a.user === b.user && a.network === b.network;
}
