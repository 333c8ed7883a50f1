import type { ControllerInput } from "../../controller/core/effects.ts";
import { coreDefaults } from "../../controller/core/settings.ts";
import type { DeviceHost } from "./device-host.ts";
import type { World } from "./world.ts";

interface Word {
  readonly session: string;
  readonly epoch: number;
  readonly instance: string;
  readonly verdict: "alive" | "dead";
}

interface Witness {
  readonly device: DeviceHost;
  readonly word: Word;
  /** It says dead, and said alive of that very path before. */
  readonly hasTurned: boolean;
}

/**
 * Which instances no session may go to, by what their devices say, as plainly as it can be put: as many users and networks
 * say dead as alive, two of them knew it alive, and it is not their own network. Some of what the controller may
 * condemn for is left out, none of what it must.
 */
export class Condemnation {
  readonly #world: World;
  readonly #devices = new Map<number, DeviceHost>();
  /** By link. */
  readonly #witnesses = new Map<number, Witness>();
  /** By name; once until the instance has a new link, so that it is no longer than the controller's. */
  readonly #untilMs = new Map<string, number>();
  /** By name: when it was called dead, in the last hold-down. */
  readonly #deadAtMs = new Map<string, readonly number[]>();

  /** Nobody is judged while the group gathers. */
  readonly #isGathering: () => boolean;

  constructor(world: World, isGathering: () => boolean) {
    this.#world = world;
    this.#isGathering = isGathering;
  }

  clear(): void {
    this.#devices.clear();
    this.#witnesses.clear();
    this.#untilMs.clear();
    this.#deadAtMs.clear();
  }

  isOver(instance: string): boolean {
    return this.#world.agenda.nowMs > (this.#untilMs.get(instance) ?? 0);
  }

  /** It has a new link: what is said from now on counts. */
  forgive(instance: string): void {
    this.#untilMs.delete(instance);
  }

  before(input: ControllerInput): void {
    if (input.kind === "disconnected") this.over(input.link);
    if (input.kind !== "received") return;
    const { link, message } = input;
    if (message.type === "hello" || message.type === "join") {
      const device = this.#world.devices.find(({ identityKey }) => identityKey === message.identityKey);
      if (device !== undefined) this.#devices.set(link, device);
    }
    const device = this.#devices.get(link);
    if (message.type !== "state" || device === undefined) return;
    const isAnew = message.from === 0 && message.part === 0;
    if (isAnew || message.remove.includes("path")) this.#witnesses.delete(link);
    for (const [name, value] of message.set) if (name === "path") this.#said(link, device, value as Word);
  }

  over(link: number): void {
    this.#devices.delete(link);
    this.#witnesses.delete(link);
  }

  #said(link: number, device: DeviceHost, word: Word): void {
    const before = this.#witnesses.get(link);
    const isSame = before?.word.session === word.session && before.word.epoch === word.epoch;
    const knewIt = isSame && before.word.instance === word.instance;
    const hasTurned =
      word.verdict === "dead" && knewIt && (before.word.verdict === "alive" || before.hasTurned);
    this.#witnesses.set(link, { device, word, hasTurned });
    if (word.verdict === "dead") this.#calledDead(word.instance);
    if (hasTurned) this.#judge(word.instance);
  }

  #calledDead(instance: string): void {
    const { nowMs } = this.#world.agenda;
    const times = (this.#deadAtMs.get(instance) ?? []).filter(
      (atMs) => atMs > nowMs - coreDefaults.holdDownMs,
    );
    this.#deadAtMs.set(instance, [...times, nowMs]);
  }

  #judge(instance: string): void {
    if (this.#untilMs.has(instance) || this.#isGathering()) return;
    const counting = [...this.#witnesses.values()].filter(({ word }) => this.#counts(word));
    const here = counting.filter(({ word }) => word.instance === instance);
    const turned = here.filter(({ hasTurned }) => hasTurned);
    const alive = here.filter(({ word }) => word.verdict === "alive");
    const networks = networksOf(turned);
    const isWellElsewhere = counting.some(
      ({ device, word }) =>
        word.verdict === "alive" && word.instance !== instance && networks.has(networkOf(device)),
    );
    const isMost = turned.length >= alive.length && networks.size >= networksOf(alive).size;
    const isProven = networks.size > 1 || isWellElsewhere;
    if (turned.length < coreDefaults.witnessesMin || !isMost || !isProven) return;
    // For what is left out here it may have been condemned before, by the first of these words, and not again until that is over.
    const [firstMs = this.#world.agenda.nowMs] = this.#deadAtMs.get(instance) ?? [];
    this.#untilMs.set(instance, firstMs + coreDefaults.holdDownMs - 1);
  }

  /** Only words about the session as it is now do. */
  #counts({ session, epoch, instance }: Word): boolean {
    const { tables } = this.#world.controller;
    const row = tables.get("session", session);
    if (row?.place.is !== "attached" || row.epoch !== epoch) return false;
    return tables.get("instance", row.place.instance)?.name === instance;
  }
}

function networksOf(witnesses: readonly Witness[]): ReadonlySet<string> {
  return new Set(witnesses.map(({ device }) => networkOf(device)));
}

function networkOf({ address }: DeviceHost): string {
  return address.slice(0, address.lastIndexOf("."));
}
