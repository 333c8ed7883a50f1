import { expect, test } from "vitest";
import type { Attachment } from "../../protocol/state.ts";
import { Random } from "../sim/random.ts";
import type { FakeAgent, FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, type Ec2, helloDevice, withConnector } from "./peers.ts";
import { live, seeds } from "./seeded.ts";

type Attached = Extract<Attachment, { state: "attached" }>;

interface Instance {
  readonly name: string;
  readonly ec2: Ec2;
  readonly agent: FakeAgent;
  isLinked: boolean;
  /** Its kernel forwards, whatever its agent does. */
  forwards: boolean;
  /** Its own word. */
  status: "Active" | "Draining";
}

interface Device {
  readonly identityKey: string;
  readonly id: string;
  readonly device: FakeDevice;
  isLinked: boolean;
  /** Packets of its tunnel get through its own network. */
  hasNetwork: boolean;
  wants: "attached" | "detached";
  carrier: Attached | undefined;
  /** It worked when the device looked last. */
  worked: boolean;
}

/**
 * Instances whose agents and kernels fail apart from each other, and devices that say truly what they find. What is told
 * from the evidence must never cost anybody a path that works.
 */
class World {
  readonly h = new Harness({
    settleMs: 1_000,
    drainDeadlineMs: 10_000,
    heartbeatMs: { agent: 60_000, device: 60_000 },
    silentHeartbeats: 10,
  });
  readonly instances: Instance[] = [];
  readonly devices: Device[] = [];
  /** `session/epoch` that may end though it works, because somebody ended it. */
  readonly #excused = new Set<string>();
  /** By `session/epoch`, until when it serves a device that does not come over. */
  readonly #leaveBy = new Map<string, number>();
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
    withConnector(this.h);
    for (let i = 0; i < 4; i++) {
      const { name, ec2, agent } = activeInstance(this.h, 8);
      const well = { isLinked: true, forwards: true, status: "Active" } as const;
      this.instances.push({ name, ec2, agent, ...well });
    }
    for (let i = 0; i < 12; i++) {
      const { id, identityKey, device } = attachedDevice(this.h, `u${i}`);
      const well = {
        isLinked: true,
        hasNetwork: true,
        wants: "attached",
        carrier: undefined,
        worked: false,
      } as const;
      this.devices.push({ id, identityKey, device, ...well });
    }
    this.probe();
  }

  step(): string {
    const instance = this.instances[this.#random.below(this.instances.length)];
    const device = this.devices[this.#random.below(this.devices.length)];
    if (instance === undefined || device === undefined) throw new Error("an empty world");
    const steps = Object.entries(this.#steps);
    const [name, act] = steps[this.#random.below(steps.length)] ?? ["nothing", () => {}];
    act(instance, device);
    this.probe();
    return `${name} (${instance.name.slice(-1)} ${this.devices.indexOf(device)})`;
  }

  readonly #steps = {
    "a moment passes": () => this.pass(this.#random.below(1_000)),
    "time passes": () => this.pass(this.#random.below(8_000)),
    "much time passes": () => this.pass(this.#random.below(60_000)),
    "a device's link is lost": (_: Instance, device: Device) => this.#unlinkDevice(device),
    "a device's link is back": (_: Instance, device: Device) => this.#linkDevice(device),
    "a device's network breaks": (_: Instance, device: Device) => {
      device.hasNetwork = false;
    },
    "a device's network heals": (_: Instance, device: Device) => {
      device.hasNetwork = true;
    },
    "a device logs out or in": (_: Instance, device: Device) => {
      if (device.isLinked) this.#want(device, device.wants === "attached" ? "detached" : "attached");
    },
    "an agent dies": (instance: Instance) => this.#unlink(instance),
    "an agent is back": (instance: Instance) => this.#link(instance),
    "a host dies": (instance: Instance) => {
      this.#unlink(instance);
      instance.forwards = false;
    },
    "a data path dies": (instance: Instance) => {
      instance.forwards = false;
    },
    "a data path heals": (instance: Instance) => {
      instance.forwards = true;
    },
    "an administrator drains": ({ name }: Instance) => {
      this.h.do({ command: "instance.drain", instance: name });
    },
    "an administrator resumes": (instance: Instance) => this.#resume(instance),
    "an instance says it drains": (instance: Instance) => {
      instance.status = "Draining";
      if (instance.isLinked) this.#say(instance);
    },
    "an instance says goodbye": (instance: Instance) => {
      if (!instance.isLinked) return;
      for (const device of this.devices) if (device.carrier?.instance === instance.name) this.#excuse(device);
      this.h.say(instance.agent.link, { type: "goodbye", reason: "shutdown" });
      this.#unlink(instance);
    },
    "an instance is full": ({ agent, isLinked }: Instance) => {
      agent.offer({ Pool1: 0 });
      if (isLinked) agent.report({});
    },
    "an instance has room": (instance: Instance) => {
      instance.agent.offer({ Pool1: Math.max(0, 8 - instance.agent.sessions) });
      if (instance.isLinked) this.#say(instance);
    },
    "an administrator ends a session": (_: Instance, device: Device) => {
      const session = this.h.views.device(device.id)?.session;
      if (session == null) return;
      this.#excuse(device);
      this.h.do({ command: "session.end", session: session.id });
    },
    "the controller dies": () => {
      this.h.restart();
      for (const instance of this.instances) instance.isLinked = false;
      for (const device of this.devices) device.isLinked = false;
    },
    "everybody is back": () => {
      for (const instance of this.instances) this.#link(instance);
      for (const device of this.devices) this.#linkDevice(device);
    },
  };

  /** In short steps, so that devices find out as they would. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1_000) {
      this.h.pass(Math.min(1_000, left));
      this.probe();
    }
  }

  /** Devices follow what they are told as the real ones do: the old path carries until the new one works, or it is dead. */
  probe(): void {
    for (let again = 0; again < 3; again++) for (const device of this.devices) this.#probe(device);
  }

  /** What must be true at any moment. */
  check(): void {
    const saved = this.h.store.saved();
    const holders = new Map<string, string>();
    for (const { id, epoch, place, leaving } of saved.session) {
      for (const at of [place, leaving]) {
        if (at === null || !("ipv4" in at) || at.ipv4 === undefined) continue;
        expect(holders.get(at.ipv4) ?? id, `${at.ipv4} is one session's`).toBe(id);
        holders.set(at.ipv4, id);
      }
      if (leaving === null) continue;
      expect(leaving.epoch).toBeLessThan(epoch);
      if (place.is !== "waiting") expect(place.instance, "left for another").not.toBe(leaving.instance);
    }
    for (const { agent, isLinked, name } of this.instances) {
      if (!isLinked) continue;
      const id = saved.instance.find((row) => row.name === name)?.id;
      const expected = saved.session.flatMap(({ id: key, epoch, place, leaving }) => {
        if (leaving !== null && leaving.instance === id) return `${key}/${leaving.epoch}`;
        return place.is !== "waiting" && place.instance === id ? `${key}/${epoch}` : [];
      });
      const told = [...agent.desired].flatMap(([key, value]) =>
        key.startsWith("session/") ? `${key.slice(8)}/${(value as { epoch: number }).epoch}` : [],
      );
      expect(told.toSorted(), `${name} is told what it is to serve`).toEqual(expected.toSorted());
    }
  }

  /** Nobody's fault any more: everybody has one place that works, and nothing happens. */
  settle(): void {
    for (const instance of this.instances) {
      instance.forwards = true;
      instance.agent.offer({ Pool1: 8 - instance.agent.sessions });
      this.#resume(instance);
      this.#link(instance);
      this.#say(instance);
    }
    for (const device of this.devices) {
      device.hasNetwork = true;
      this.#linkDevice(device);
      this.#want(device, "attached");
    }
    this.pass(120_000);
    this.check();
    for (const device of this.devices) {
      const session = this.h.views.device(device.id)?.session;
      expect(session).toMatchObject({ state: "attached", leaving: null });
      expect(device.carrier).toMatchObject({ session: session?.id, epoch: session?.epoch });
      expect(this.#works(device, device.carrier)).toBe(true);
    }
    const { commits } = this.h.store;
    this.pass(60_000);
    expect(this.h.store.commits, "it is quiet").toBe(commits);
  }

  /** Before the device follows what it is told: what worked and could work still was not taken from it. */
  #checkKept(device: Device): void {
    const { carrier, worked, hasNetwork, wants } = device;
    if (carrier === undefined) return;
    const key = `${carrier.session}/${carrier.epoch}`;
    const row = this.h.store.saved().session.find(({ id }) => id === carrier.session);
    if (row?.leaving?.epoch === carrier.epoch) this.#leaveBy.set(key, row.leaving.untilMs ?? Infinity);
    if (!worked || !hasNetwork || wants === "detached") return;
    if (!this.#forwards(carrier) || this.#excused.has(key)) return;
    // What is late by less than a step of the clock was not seen.
    if (this.h.wallMs >= (this.#leaveBy.get(key) ?? Infinity)) return;
    expect(this.#isWanted(carrier), `the path of device ${this.devices.indexOf(device)} is kept`).toBe(true);
    expect(this.#works(device, carrier), `${carrier.instance} serves on`).toBe(true);
  }

  /** The controller has the session there, under this epoch or under a later one of the same instance. */
  #isWanted({ session, epoch, instance }: Attached): boolean {
    const saved = this.h.store.saved();
    const row = saved.session.find(({ id }) => id === session);
    if (row === undefined) return false;
    const id = saved.instance.find(({ name }) => name === instance)?.id;
    const isBack = row.place.is !== "waiting" && row.place.instance === id;
    return row.epoch === epoch || row.leaving?.epoch === epoch || isBack;
  }

  #forwards(at: Attached): boolean {
    return this.instances.some(({ name, forwards }) => name === at.instance && forwards);
  }

  #works({ hasNetwork }: Device, at: Attached | undefined): boolean {
    const instance = this.instances.find(({ name }) => name === at?.instance);
    if (at === undefined || instance === undefined || !hasNetwork) return false;
    return instance.forwards && instance.agent.granted.get(at.session)?.ipv4 === at.ipv4;
  }

  #probe(device: Device): void {
    this.#checkKept(device);
    const told = device.device.attachment;
    if (device.wants === "detached") device.carrier = undefined;
    else if (told?.state === "attached" && this.#isNewer(told, device.carrier)) {
      if (!this.#works(device, device.carrier) || this.#works(device, told)) device.carrier = told;
    }
    const { carrier } = device;
    // One that was given up while it was dead, and lives again before its instance hears of it, is nobody's any more.
    device.worked = carrier !== undefined && this.#works(device, carrier) && this.#isWanted(carrier);
    const held = carrier && {
      session: carrier.session,
      epoch: carrier.epoch,
      instance: carrier.instance,
      ...(carrier.ipv4 === undefined ? {} : { ipv4: carrier.ipv4 }),
    };
    const verdict = this.#works(device, carrier) ? "alive" : "dead";
    const path = held && {
      session: held.session,
      epoch: held.epoch,
      instance: held.instance,
      verdict,
      sinceMs: 1,
    };
    const { observed } = device.device;
    const isSame = (key: string, value: unknown) =>
      JSON.stringify(observed.get(key)) === JSON.stringify(value);
    if (isSame("held", held) && isSame("path", path)) return;
    if (device.isLinked) device.device.report({ held, path });
    // Told with the next link, as it is by then.
    else for (const [key, value] of Object.entries({ held, path })) observed.set(key, value);
  }

  #isNewer(told: Attached, carrier: Attached | undefined): boolean {
    return carrier === undefined || carrier.session !== told.session || told.epoch > carrier.epoch;
  }

  #excuse({ carrier }: Device): void {
    if (carrier !== undefined) this.#excused.add(`${carrier.session}/${carrier.epoch}`);
  }

  #resume(instance: Instance): void {
    instance.status = "Active";
    this.h.do({ command: "instance.resume", instance: instance.name });
    if (instance.isLinked) this.#say(instance);
  }

  #say({ agent, ec2, status }: Instance): void {
    agent.become(status, {}, ec2);
  }

  #link(instance: Instance): void {
    if (instance.isLinked) return;
    instance.isLinked = true;
    const { agent, ec2, status } = instance;
    agent.observed.set("instance", {
      status,
      conditions: [],
      version: "0.1.0",
      upSinceMs: 1,
      managementIp: ec2.ip,
      activeAgents: 0,
      endpoint: `${ec2.ip}:51820`,
    });
    agent.on(ec2.hello(this.h));
    this.#say(instance);
  }

  #unlink(instance: Instance): void {
    if (!instance.isLinked) return;
    instance.isLinked = false;
    this.#cut(instance.agent.link);
  }

  /** Like the real one it says all it knows at once, on the new link. */
  #linkDevice(one: Device): void {
    if (one.isLinked) return;
    one.isLinked = true;
    one.device.desired.clear();
    one.device.on(helloDevice(this.h, one.identityKey, one.identityKey));
    this.#want(one, one.wants);
    this.#probe(one);
  }

  #want(one: Device, wants: "attached" | "detached"): void {
    one.wants = wants;
    one.device.wants(wants);
  }

  #unlinkDevice(one: Device): void {
    if (!one.isLinked) return;
    one.isLinked = false;
    this.#cut(one.device.link);
  }

  #cut(link: number): void {
    this.h.onMessage.delete(link);
    this.h.post({ kind: "disconnected", link });
  }
}

test.each(seeds(20))("whatever fails, nobody loses a path that works: seed %i", (seed) => {
  live(new World(seed), seed, 80);
});
