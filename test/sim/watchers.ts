import type { SessionRow } from "../../controller/core/rows.ts";
import type { ClientMessage, ControllerMessage, StateFrame } from "../../protocol/messages.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { ControllerWatcher } from "./controller-host.ts";
import type { DeviceHost } from "./device-host.ts";
import { EpochWatch } from "./epoch-watch.ts";
import { check } from "./finding.ts";
import { InstanceHost, type InstanceWatcher } from "./instance-host.ts";
import { LeaseWatch } from "./lease-watch.ts";
import { LinkWatch } from "./link-watch.ts";
import { Mirror } from "./mirror.ts";
import type { Client, Wiretap } from "./network.ts";
import { ServiceWatch } from "./service-watch.ts";
import { TableWatch } from "./table-watch.ts";
import { WordWatch } from "./word-watch.ts";
import type { World } from "./world.ts";

/** Looks at everything that is said, stored and planned, and checks it at that moment. */
export class Watchers {
  readonly tables: TableWatch;
  readonly leases: LeaseWatch;
  readonly mirror: Mirror;
  readonly service: ServiceWatch;
  readonly links: LinkWatch;
  readonly words: WordWatch;
  readonly epochs: EpochWatch;
  /** Messages that are no heartbeat, and what they were about, since somebody began to count. */
  readonly talk: string[] = [];
  readonly #world: World;
  /** What each device was told of last. */
  readonly #held = new Map<DeviceHost, { readonly session: string; readonly epoch: number }>();

  constructor(world: World) {
    this.#world = world;
    this.tables = new TableWatch(world);
    this.leases = new LeaseWatch(world);
    this.mirror = new Mirror(world);
    this.service = new ServiceWatch(world);
    this.links = new LinkWatch(world);
    this.words = new WordWatch(world);
    this.epochs = new EpochWatch(world);
  }

  readonly wire: Wiretap = {
    sent: (from, link, client, message) => this.#sent(from, link, client, message),
    note: (text) => {
      this.#world.note(() => text);
      this.#world.stamp(text);
    },
  };

  get controller(): ControllerWatcher {
    return {
      started: () => this.mirror.clear(),
      restored: (tables) => this.tables.restored(tables),
      before: (input) => {
        this.mirror.before(input);
        this.words.before(input);
      },
      after: (effects) => {
        this.mirror.after(effects);
        for (const effect of effects) if (effect.do === "store") this.tables.deciding(effect.plan);
      },
      committing: (plan, tables) => {
        this.#world.note(() => `stored: ${JSON.stringify(plan.changes)}`);
        this.tables.committing(plan, tables);
      },
      committed: (_, tables) => this.tables.committed(tables),
      answered: (command, result) => {
        this.#world.note(() => `answer: ${command.command} ${result.ok ? "done" : result.failure.message}`);
      },
    };
  }

  get instance(): InstanceWatcher {
    return {
      writing: (host, batch) => {
        this.#world.note(() => `${host.name} stores ${JSON.stringify(batch)}`);
        this.leases.writing(host, batch);
      },
      planned: (host, plan) => {
        this.#world.note(() => `${host.name} plans ${JSON.stringify(plan.peers)}`);
        this.leases.planned(host, plan);
      },
      lost: (host) => this.leases.lost(host),
    };
  }

  readonly onHold = (host: DeviceHost): void => {
    const hold = host.device?.hold;
    this.#world.note(() => `${host.name} holds ${JSON.stringify(hold)}`);
    if (hold?.is !== "attached") {
      // What it does not hold it cannot say to a controller that has forgotten it.
      this.#held.delete(host);
      return;
    }
    const { session, epoch } = hold.to;
    const held = this.#held.get(host);
    const before = held?.session === session ? held.epoch : 0;
    // A device whose disk was full knows less after a restart: it is told again.
    if (!host.isDiskFull && host.starts === 1) {
      check(epoch >= before, 5, () => `${host.name} went from epoch ${before} of ${session} to ${epoch}`);
    }
    this.#held.set(host, { session, epoch });
  };

  #sent(
    from: Client | "controller",
    link: number,
    client: Client,
    message: ClientMessage | ControllerMessage,
  ): void {
    const who = from === "controller" ? `to ${client.name}` : `from ${client.name}`;
    const text = JSON.stringify(message);
    this.#world.stamp(text);
    this.#world.note(() => `${who} (${link}): ${text}`);
    if (message.type !== "ping" && message.type !== "pong") this.talk.push(topicOf(who, message));
    if (message.type === "state" && from instanceof InstanceHost) this.#reported(from, message);
    if (from === "controller") this.#told(client, message as ControllerMessage);
  }

  /** Invariants 2 and 5. */
  #reported(host: InstanceHost, frame: StateFrame): void {
    this.epochs.reported(host, frame);
    for (const [name, value] of frame.set) {
      if (!name.startsWith("session/")) continue;
      const outcome = value as SessionOutcome;
      const session = name.slice("session/".length);
      if (outcome.outcome !== "granted") continue;
      this.leases.granted(host, session, outcome);
      this.tables.granted(host, session, outcome);
    }
  }

  /** Invariant 3. */
  #told(client: Client, message: ControllerMessage): void {
    const { tables } = this.#world.controller;
    switch (message.type) {
      case "enrolled": {
        const row = tables.get("instance", message.instance);
        check(row !== undefined, 3, () => `${client.name} was told it is enrolled`);
        return;
      }
      case "joined": {
        const row = tables.get("device", message.device);
        check(row !== undefined, 3, () => `${client.name} was told it has joined`);
        return;
      }
      case "state":
        for (const [name, value] of message.set) this.tables.told(client, name, value);
    }
  }
}

function topicOf(who: string, message: ClientMessage | ControllerMessage): string {
  if (message.type !== "state") return `${who}: ${message.type}`;
  const keys = [...message.set.map(([name]) => name), ...message.remove];
  return `${who}: state ${[...new Set(keys.map((name) => name.split("/")[0]))].join(" ")}`;
}

export function addressesOf({ place }: SessionRow): string[] {
  if (place.is !== "attached") return [];
  return [place.ipv4, place.ipv6].filter((address) => address !== undefined);
}
