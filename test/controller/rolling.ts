import type { RestartView } from "../../controller/core/restart-views.ts";
import type { CoreSettings } from "../../controller/core/settings.ts";
import type { FakeAgent, FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, type Ec2, helloDevice, withConnector } from "./peers.ts";

interface RestartEntry {
  readonly id: string;
  readonly process: string;
  readonly go: boolean;
}

let processes = 0;

/** An instance whose agent does what a rolling restart tells it, as the real one does. */
export class RollingInstance {
  readonly name: string;
  readonly agent: FakeAgent;
  readonly #h: Harness;
  readonly #ec2: Ec2;
  process = newProcess();
  /** Ends of its process, each because of a restart. */
  ended = 0;
  /** By which restarts, and with how many sessions that it still had. */
  readonly endedBy: string[] = [];
  readonly endedWith: number[] = [];
  /** Its service manager starts it again. */
  returns = true;
  /** It knows of rolling restarts. */
  isAble = true;
  isLinked = true;
  /** By its own reasons. */
  drains: string[] = [];

  constructor(h: Harness, free: number) {
    this.#h = h;
    const { name, agent, ec2 } = activeInstance(h, free);
    this.name = name;
    this.agent = agent;
    this.#ec2 = ec2;
    this.report();
  }

  get told(): RestartEntry | undefined {
    return this.agent.desired.get("restart") as RestartEntry | undefined;
  }

  /** Follows what it is told; answers whether there was anything to do. */
  step(): boolean {
    if (!this.isLinked) return false;
    const mine = this.isAble && this.told?.process === this.process ? this.told : undefined;
    if (mine?.go) {
      this.endedBy.push(mine.id);
      this.endedWith.push(this.agent.sessions);
      this.die();
      this.ended += 1;
      return true;
    }
    const before = JSON.stringify(this.agent.observed.get("instance"));
    this.report();
    return before !== JSON.stringify(this.agent.observed.get("instance"));
  }

  /** Addresses have rested, and are free again. */
  rested(total = 16): void {
    const leased = this.agent.sessions;
    const free = total - leased;
    this.agent.offer({ Pool1: free });
    const counts = { total, leased, cooling: 0, quarantined: 0, free };
    if (this.isLinked) this.agent.report({ "pool/Pool1": counts });
  }

  /** The process ends; its kernel goes on. */
  die(): void {
    this.isLinked = false;
    this.process = newProcess();
    this.#h.onMessage.delete(this.agent.link);
    this.#h.post({ kind: "disconnected", link: this.agent.link });
  }

  /** The next process, on its link. */
  start(): void {
    if (this.isLinked) return;
    this.isLinked = true;
    const link = this.#ec2.hello(this.#h);
    this.agent.observed.set("instance", this.#instance());
    this.agent.on(link);
    this.report();
  }

  report(): void {
    const instance = this.#instance();
    if (JSON.stringify(this.agent.observed.get("instance")) !== JSON.stringify(instance))
      this.agent.report({ instance });
  }

  #instance() {
    const { desired } = this.agent;
    const isMine = this.isAble && this.told?.process === this.process;
    const reasons = [
      ...(desired.has("drain") ? ["admin"] : []),
      ...(isMine ? ["restart"] : []),
      ...this.drains,
    ];
    return {
      status: reasons.length > 0 ? "Draining" : "Active",
      conditions: [],
      version: "0.1.0",
      upSinceMs: 1,
      ...(this.isAble ? { process: this.process } : {}),
      ...(reasons.length > 0 && this.isAble ? { drain: { reasons, sinceMs: 1 } } : {}),
      managementIp: this.#ec2.ip,
      activeAgents: 0,
      endpoint: `${this.#ec2.ip}:51820`,
    };
  }
}

/** A group, its devices, and the time that passes. What must be so at any moment is looked at in every step. */
export class RollingWorld {
  readonly h: Harness;
  readonly instances: RollingInstance[] = [];
  readonly devices: { device: FakeDevice; identityKey: string }[] = [];
  /** The fewest Active instances there were. */
  fewest = Number.POSITIVE_INFINITY;
  /** Devices come over to a new place. */
  comeOver = true;

  constructor(options: {
    instances?: number;
    devices?: number;
    free?: number;
    mode?: "active-active" | "active-standby" | "standalone";
    settings?: Partial<CoreSettings>;
  }) {
    const { instances = 3, devices = 6, free = 16, mode = "active-active", settings } = options;
    const quiet = { heartbeatMs: { agent: 60_000, device: 60_000 }, silentHeartbeats: 10, settleMs: 1_000 };
    this.h = new Harness({ ...quiet, ...settings });
    withConnector(this.h, { mode });
    for (let i = 0; i < instances; i++) this.instances.push(new RollingInstance(this.h, free));
    for (let i = 0; i < devices; i++) {
      const { device, identityKey } = attachedDevice(this.h, `user${i}`);
      this.devices.push({ device, identityKey });
    }
    this.follow();
  }

  get view(): RestartView {
    const view = this.h.views.restart("prod");
    if (view === undefined) throw new Error("no restart");
    return view;
  }

  /** `name state`, `name state why`. */
  get steps(): string[] {
    const number = (name: string) => this.instances.findIndex((instance) => instance.name === name) + 1;
    return this.view.steps.map(({ instance, state, why }) =>
      [number(instance), state, ...(why === null ? [] : [why])].join(" "),
    );
  }

  at(number: number): RollingInstance {
    const found = this.instances[number - 1];
    if (found === undefined) throw new RangeError(`no instance ${number}`);
    return found;
  }

  restart(minActive?: number): RestartView {
    const command = { command: "connector.restart", connector: "prod" } as const;
    return this.h.do(minActive === undefined ? command : { ...command, minActive });
  }

  /** Devices say by which place their packets go, and agents do what they are told. */
  follow(): void {
    for (let again = true, turns = 0; again && turns < 50; turns++) {
      again = false;
      if (this.comeOver) for (const { device } of this.devices) again = hold(device) || again;
      for (const instance of this.instances) again = instance.step() || again;
      this.#look();
    }
  }

  /** In short steps; whoever ended is started again in the next one. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 500) {
      for (const instance of this.instances) if (instance.returns) instance.start();
      this.h.pass(Math.min(500, left));
      this.follow();
    }
  }

  /** Of the writes that are held, the first is done. */
  write(): void {
    const effect = this.h.held.shift();
    if (effect === undefined) return;
    this.h.store.commit(effect.plan);
    this.h.post({ kind: "stored", effectId: effect.effectId });
  }

  /** The controller dies, with what it was writing or without, and everybody is back. */
  crash(isWritten: boolean): void {
    const { h } = this;
    if (isWritten) for (const { plan } of h.held) h.store.commit(plan);
    h.restart();
    // Their keys are new, which is stored before they have a link.
    h.isHolding = false;
    for (const { device, identityKey } of this.devices) device.on(helloDevice(h, identityKey, identityKey));
    h.isHolding = true;
    for (const instance of this.instances) {
      const wasLinked = instance.isLinked;
      instance.isLinked = false;
      if (wasLinked) instance.start();
    }
  }

  /** Devices without a place that serves them. */
  get unserved(): number {
    return this.devices.filter(({ device }) => {
      const at = device.attachment;
      if (at?.state !== "attached") return true;
      const instance = this.instances.find(({ name }) => name === at.instance);
      return instance?.agent.granted.get(at.session)?.epoch !== at.epoch;
    }).length;
  }

  #look(): void {
    const active = this.h.views.instances("prod").filter(({ status }) => status === "Active").length;
    this.fewest = Math.min(this.fewest, active);
  }
}

function newProcess(): string {
  processes += 1;
  return `00000000-0000-4000-8000-${String(processes).padStart(12, "0")}`;
}

function hold(device: FakeDevice): boolean {
  const at = device.attachment;
  if (at?.state !== "attached") return false;
  const { session, epoch, instance, ipv4 } = at;
  const held = { session, epoch, instance, ...(ipv4 === undefined ? {} : { ipv4 }) };
  if (JSON.stringify(device.observed.get("held")) === JSON.stringify(held)) return false;
  device.report({ held });
  return true;
}
