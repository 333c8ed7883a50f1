import { expect, test } from "vitest";
import type { Plan } from "../../controller/core/rows.ts";
import { Random } from "../sim/random.ts";
import type { FakeAgent, FakeDevice } from "./fakes.ts";
import { Harness, MemoryStore } from "./harness.ts";
import { activeInstance, attachedDevice, type Ec2, helloDevice, withConnector } from "./peers.ts";
import { live, seeds } from "./seeded.ts";

/** What was ever durable: a place for each epoch of each session, and the addresses it was granted. */
class RememberingStore extends MemoryStore {
  readonly places = new Map<string, string>();
  readonly epochs = new Map<string, number>();
  readonly attachments = new Set<string>();

  override commit(plan: Plan): void {
    super.commit(plan);
    for (const change of plan.changes) {
      if (change.table !== "session" || !("put" in change)) continue;
      const { id, epoch, place } = change.put;
      expect(epoch, "an epoch never falls").toBeGreaterThanOrEqual(this.epochs.get(id) ?? 1);
      this.epochs.set(id, epoch);
      if (place.is === "waiting") continue;
      const known = this.places.get(`${id}/${epoch}`);
      expect(known ?? place.instance, "an epoch is of one place").toBe(place.instance);
      this.places.set(`${id}/${epoch}`, place.instance);
      if (place.is === "attached") this.attachments.add(`${id}/${epoch}/${place.ipv4}`);
    }
  }
}

interface Agent {
  readonly name: string;
  readonly ec2: Ec2;
  readonly agent: FakeAgent;
  readonly ranges: readonly string[];
  isLinked: boolean;
}

interface Device {
  readonly identityKey: string;
  readonly id: string;
  readonly device: FakeDevice;
  isLinked: boolean;
}

/** Everything that can happen, in an order that a seed decides. */
class World {
  readonly store = new RememberingStore();
  readonly h = new Harness({ settleMs: 500 }, this.store);
  readonly agents: Agent[] = [];
  readonly devices: Device[] = [];
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
    withConnector(this.h);
    for (let i = 0; i < 3; i++) {
      const { name, ec2, agent, view } = activeInstance(this.h, 6);
      this.agents.push({ name, ec2, agent, ranges: view.pools[0]?.ipv4 ?? [], isLinked: true });
    }
    for (let i = 0; i < 10; i++) {
      const { id, identityKey, device } = attachedDevice(this.h, `u${i}`);
      this.devices.push({ id, identityKey, device, isLinked: true });
    }
  }

  step(): string {
    const agent = this.agents[this.#random.below(this.agents.length)];
    const device = this.devices[this.#random.below(this.devices.length)];
    if (agent === undefined || device === undefined) throw new Error("an empty world");
    const steps = Object.entries(this.#steps);
    const [name, act] = steps[this.#random.below(steps.length)] ?? ["nothing", () => {}];
    act(agent, device);
    return name;
  }

  readonly #steps = {
    "time passes": () => this.h.pass(this.#random.below(2_000)),
    "a device leaves": (_: Agent, device: Device) => this.#unlinkDevice(device),
    "a device comes": (_: Agent, device: Device) => this.#linkDevice(device),
    "a device logs out": (_: Agent, { device, isLinked }: Device) => {
      if (isLinked) device.wants("detached");
    },
    "a device lies about its epoch": (_: Agent, { id, device, isLinked }: Device) => {
      const session = this.h.views.device(id)?.session;
      if (session && isLinked) {
        device.report({
          held: { session: session.id, epoch: session.epoch + this.#random.below(3), instance: "x" },
        });
      }
    },
    "an agent leaves": (agent: Agent) => this.#unlinkAgent(agent),
    "an agent comes": (agent: Agent) => this.#linkAgent(agent),
    "an agent grants wrongly, once": (agent: Agent) => {
      const addresses = ["10.66.66.66", ...[...agent.agent.granted.values()].map(({ ipv4 }) => ipv4)];
      const ipv4 = addresses[this.#random.below(addresses.length)] ?? "";
      agent.agent.grantsWrongly = () => {
        agent.agent.grantsWrongly = undefined;
        return { ipv4 };
      };
    },
    "an agent ends a session": ({ agent, isLinked }: Agent) => {
      const [id, grant] = [...agent.granted][this.#random.below(agent.granted.size || 1)] ?? [];
      if (!isLinked || id === undefined || grant === undefined) return;
      const code = this.#random.below(2) === 0 ? "lease.expired" : "lease.quarantined";
      agent.report({ [`session/${id}`]: { outcome: "ended", epoch: grant.epoch, code } });
    },
    "a range goes": (agent: Agent) => this.#setPools(agent, []),
    "a range comes": (agent: Agent) => this.#setPools(agent, agent.ranges),
    "an instance is drained": ({ name }: Agent) =>
      this.h.begin({ command: "instance.drain", instance: name }),
    "a drain ends": ({ name }: Agent) => this.h.begin({ command: "instance.resume", instance: name }),
    "a session is ended": (_: Agent, { id }: Device) => {
      const session = this.h.views.device(id)?.session?.id;
      if (session !== undefined) this.h.begin({ command: "session.end", session });
    },
    "the store hangs": () => {
      this.h.isHolding = true;
    },
    "the store goes on": () => this.h.release(),
    "the store fails for a moment": () => {
      this.h.release();
      this.h.failing = "store.full";
      this.h.pass(this.#random.below(1_500));
      this.h.failing = undefined;
    },
    "the controller dies": () => this.#die(false),
    "the controller dies when a write is on disk": () => this.#die(true),
  };

  /** The controller cuts links, too. */
  #notice(): void {
    for (const one of this.agents) one.isLinked &&= !this.h.closed.has(one.agent.link);
    for (const one of this.devices) one.isLinked &&= !this.h.closed.has(one.device.link);
  }

  /** What must be true at any moment. */
  check(): void {
    this.#notice();
    const held = new Map<string, string>();
    for (const { id, epoch, place } of this.store.saved().session) {
      if (place.is !== "attached") continue;
      const { ipv4 = "", instance } = place;
      expect(held.get(ipv4), `${ipv4} is one session's`).toBeUndefined();
      held.set(ipv4, `${id}/${epoch}`);
      const row = this.store.saved().instance.find((one) => one.id === instance);
      const start = ipv4.split(".").slice(0, 3).join(".");
      const ranges = row?.pools.Pool1?.ipv4 ?? [];
      expect(
        ranges.some((range) => range.startsWith(`${start}.`)),
        `${ipv4} is of ${ranges}`,
      ).toBe(true);
    }
    for (const { device } of this.devices) {
      const { attachment } = device;
      if (attachment?.state !== "attached") continue;
      const told = `${attachment.session}/${attachment.epoch}/${attachment.ipv4}`;
      expect(this.store.attachments.has(told), `${told} was stored before it was told`).toBe(true);
    }
  }

  /** Everybody is there and nothing fails: everybody has a place. */
  settle(): void {
    this.h.release();
    this.#notice();
    for (const agent of this.agents) {
      agent.agent.grantsWrongly = undefined;
      this.#setPools(agent, agent.ranges);
      this.h.do({ command: "instance.resume", instance: agent.name });
      this.#linkAgent(agent);
    }
    for (const device of this.devices) this.#linkDevice(device);
    for (let i = 0; i < 70; i++) {
      for (const { agent, ec2 } of this.agents)
        agent.offer({ Pool1: 16 - agent.granted.size }).become("Active", {}, ec2);
      for (const { device } of this.devices) this.h.say(device.link, { type: "ping", id: i });
      this.h.pass(1_000);
      this.check();
    }
    for (const { device, id } of this.devices) {
      expect(device.attachment).toMatchObject({ state: "attached" });
      const session = this.h.views.device(id)?.session;
      expect(device.attachment).toMatchObject({ session: session?.id, epoch: session?.epoch });
    }
  }

  #setPools({ name }: Agent, ipv4: readonly string[]): void {
    const pools = { Pool1: { ipv4: [...ipv4], ipv6: [] } };
    this.h.begin({ command: "instance.pools.set", instance: name, pools });
  }

  #linkAgent(one: Agent): void {
    if (one.isLinked) return;
    one.agent.on(one.ec2.hello(this.h));
    one.isLinked = true;
    one.agent.become("Active", {}, one.ec2);
  }

  #unlinkAgent(one: Agent): void {
    one.isLinked = false;
    this.#cut(one.agent.link);
  }

  #linkDevice(one: Device): void {
    if (!one.isLinked) one.device.on(helloDevice(this.h, one.identityKey));
    one.isLinked = true;
    one.device.report({ held: undefined });
    one.device.wants("attached");
  }

  #unlinkDevice(one: Device): void {
    one.isLinked = false;
    this.#cut(one.device.link);
  }

  #cut(link: number): void {
    this.h.onMessage.delete(link);
    this.h.post({ kind: "disconnected", link });
  }

  #die(isWritten: boolean): void {
    const plan = this.h.held[0]?.plan;
    if (isWritten && plan !== undefined) this.store.commit(plan);
    this.h.isHolding = false;
    this.h.restart();
    for (const agent of this.agents) agent.isLinked = false;
    for (const device of this.devices) device.isLinked = false;
  }
}

test.each(seeds(25))("whatever happens, no address is wrong: seed %i", (seed) => {
  live(new World(seed), seed, 120);
});
