import { Agent, type AgentEffect, type AgentInput, type Note } from "../../agent/core/agent.ts";
import type { InstanceReading, OtpSeen } from "../../agent/core/enrolment.ts";
import type { IdentityRecord, SavedIdentity } from "../../agent/core/identity.ts";
import type { NoticesReading } from "../../agent/core/notice-shapes.ts";
import type { Parameters } from "../../agent/core/parameters.ts";
import {
  type DataPathPlan,
  type PrefixReading,
  pairKey,
  type Saved,
  type SessionTraffic,
} from "../../agent/core/ports.ts";
import { mergeParts } from "../../agent/core/store-batch.ts";
import { type FailureCode, failed, success } from "../../protocol/failures.ts";
import type { ClientMessage, ControllerMessage, StateFrame } from "../../protocol/messages.ts";
import { StateReceiver, StateSender } from "../../protocol/sync.ts";
import type { Condition } from "../../protocol/view.ts";
import { facts, known } from "./fixture.ts";

export const controllerId = "00000000-0000-4000-8000-000000000001";
export const ec2InstanceId = "i-0e306ccdf94a1b201";
const key = "A".repeat(43);

export const enrolment = {
  instance: "0b6c5c6e-33a5-4f0e-9a5e-0f5b6f2b7c22",
  name: "aws-us-east-1-con-00001",
  connector: "aws-one",
};

export const parameters: Parameters = {
  controller: "https://controller.example.com",
  ip: facts.primaryIpv4,
  gateway: "172.18.128.1",
  otpFile: "/run/credstore/connector.otp",
  caFile: undefined,
  health: "off",
  logLevel: "info",
  wireguardPort: 51_820,
  publicAddress: facts.primaryIpv4,
  prefixSchedule: "* * * * *",
  rebalance: "show",
};

const nothingAsked = { rebalance: undefined, autoscaling: undefined };
const none = { is: "known", value: undefined } as const;
export const noNotice: NoticesReading = { spot: none, rebalance: none, autoscaling: none };

/** What the disk of an instance holds; outlives the process. */
export interface Disk {
  identity: SavedIdentity;
  leases: Map<string, Saved["leases"][number]>;
  desired: Map<string, unknown>;
  facts: Map<string, unknown>;
  clock: Saved["clock"];
  lostTo?: string;
}

export function emptyDisk(): Disk {
  return {
    identity: { is: "none" },
    leases: new Map(),
    desired: new Map(),
    facts: new Map(),
    clock: undefined,
  };
}

export function enrolledDisk(): Disk {
  return {
    ...emptyDisk(),
    identity: { is: "saved", record: { identityKey: key, wireguardKey: key, ec2InstanceId, enrolment } },
  };
}

/** An agent core in a world where everything works at once, until the test says otherwise. Time moves when told to. */
export class World {
  agent: Agent;
  nowMs = 1_000;
  /** What the host's clock shows at monotonic zero. Changed, the clock was set. */
  wallAtZeroMs = 1_700_000_000_000;
  readonly disk: Disk;
  readonly parameters: Parameters;
  readonly sent: ClientMessage[] = [];
  readonly notes: Note[] = [];
  readonly done: AgentEffect[] = [];
  readonly plans: DataPathPlan[] = [];

  reading: PrefixReading = known();
  instance: InstanceReading = {
    is: "known",
    ec2InstanceId,
    document: "{}",
    documentSignature: "c2lnbmF0dXJlLXNpZ25hdHVyZQ==",
    local: undefined,
  };
  /** What AWS announces. */
  notices: NoticesReading = noNotice;
  /** Readings are answered only by `answerReading`. */
  isMetadataSlow = false;
  #unanswered: number | undefined;
  otp: string | undefined = "one";
  otpError: string | undefined;
  diskFails: FailureCode | undefined;
  bootId = "boot";
  /** The EC2 instance that the firmware names. */
  firmware: string | undefined;
  starts = 0;
  dataPathFails = false;
  /** What somebody else has changed in the kernel, found by the next comparison. */
  drift: string[] = [];
  /** By session; every peer of the plan was heard just now when it is not set. */
  traffic: ReadonlyMap<string, SessionTraffic> | undefined;
  trafficFails = false;
  /** Where nobody listens, dialling fails at once. */
  isControllerThere = true;
  refusal: FailureCode | undefined;
  /** How it words the next refusal. */
  refusalText = "no";
  /** What happens to a frame on its way, either direction: how often it arrives. */
  copies: () => 0 | 1 | 2 = () => 1;

  /** What the controller wants, and what it was told. */
  readonly desired = new Map<string, unknown>();
  readonly observed = new Map<string, unknown>();
  #sender = new StateSender(this.desired as Map<string, unknown> & { get(key: string): unknown });
  #receiver = new StateReceiver();
  #dialId = 0;
  readonly #inputs: AgentInput[] = [];

  constructor(disk: Disk = emptyDisk(), changed: Partial<Parameters> = {}) {
    this.disk = disk;
    this.parameters = { ...parameters, ...changed };
    this.agent = this.#start();
  }

  get status() {
    return this.agent.views(() => this.now).status();
  }

  get conditions(): Record<string, Condition> {
    return Object.fromEntries(this.status.conditions.map((condition) => [condition.code, condition]));
  }

  get views() {
    return this.agent.views(() => this.now);
  }

  get now() {
    return { monotonicMs: this.nowMs, wallMs: this.wallAtZeroMs + this.nowMs };
  }

  get otpSeen(): OtpSeen {
    if (this.otpError !== undefined) return { is: "unreadable", error: this.otpError };
    return this.otp === undefined ? { is: "none" } : { is: "there", mark: this.otp };
  }

  get isLinked(): boolean {
    return this.status.link.state === "up";
  }

  run(...inputs: AgentInput[]): this {
    this.#inputs.push(...inputs);
    for (let input = this.#inputs.shift(); input !== undefined; input = this.#inputs.shift()) {
      const effects = this.agent.handle(input, this.now);
      this.#store(effects);
      for (const effect of effects) this.#perform(effect);
    }
    return this;
  }

  /** Lets time pass, tick by tick. */
  pass(ms: number): this {
    const endMs = this.nowMs + ms;
    for (;;) {
      const deadline = this.agent.nextDeadline();
      if (deadline === undefined || deadline > endMs) break;
      this.nowMs = Math.max(this.nowMs, deadline);
      this.run({ kind: "tick" });
      this.#flush();
    }
    this.nowMs = endMs;
    return this;
  }

  /** The controller changes what it wants; undefined takes an entry away. */
  want(entries: Record<string, unknown>): this {
    for (const [name, value] of Object.entries(entries)) {
      if (value === undefined) this.desired.delete(name);
      else this.desired.set(name, value);
      this.#sender.touch(name);
    }
    this.#flush();
    return this;
  }

  /** The controller says this, whatever comes of it. */
  say(message: ControllerMessage): this {
    return this.run({ kind: "link", input: { kind: "received", dialId: this.#dialId, message } });
  }

  /** What the slow metadata service says at last. */
  answerReading(reading: PrefixReading): this {
    return this.run({ kind: "prefixesRead", effectId: this.#unanswered ?? -1, reading });
  }

  cut(why: number | FailureCode = 1006): this {
    this.#sender.disconnect();
    return this.run({ kind: "link", input: { kind: "closed", dialId: this.#dialId, why } });
  }

  /** SIGKILL, and a new process on the same disk. */
  restart(): this {
    this.#sender.disconnect();
    this.#inputs.length = 0;
    this.nowMs += 100;
    this.agent = this.#start();
    return this;
  }

  #start(): Agent {
    const { leases, desired, facts: savedFacts, clock, identity } = this.disk;
    const saved: Saved = {
      leases: [...leases.values()],
      desired: new Map(desired),
      facts: new Map(savedFacts),
      clock,
      lostTo: this.disk.lostTo,
    };
    this.starts += 1;
    const process = `00000000-0000-4000-8000-${String(this.starts).padStart(12, "0")}`;
    const fixed = {
      bootId: this.bootId,
      firmware: this.firmware,
      process,
      version: "0.1.0",
      random: () => 0.5,
    };
    return new Agent({ parameters: this.parameters, identity, saved, ...fixed }, this.now);
  }

  #store(effects: readonly AgentEffect[]): void {
    const parts = effects.flatMap((effect) => (effect.do === "store" ? [effect.part] : []));
    if (parts.length === 0) return;
    const batch = mergeParts(parts);
    if (this.diskFails === undefined) {
      for (const pair of batch.forgotten) this.disk.leases.delete(pair);
      for (const row of batch.leases) this.disk.leases.set(pairKey(row.ipv4, row.ipv6), row);
      if (batch.desired.clear) this.disk.desired.clear();
      for (const name of batch.desired.remove) this.disk.desired.delete(name);
      for (const [name, value] of batch.desired.set) this.disk.desired.set(name, structuredClone(value));
      for (const [name, value] of batch.facts) this.disk.facts.set(name, structuredClone(value));
      this.disk.clock = { bootId: "boot", ...this.now };
    }
    for (const { of: part, effectId } of parts) {
      this.#inputs.push({ kind: "stored", part, effectId, why: this.diskFails });
    }
  }

  #perform(effect: AgentEffect): void {
    this.done.push(effect);
    switch (effect.do) {
      case "store":
      case "hangUp":
      case "left":
      case "restart":
      case "removeOtp":
      case "startAfresh":
        if (effect.do === "removeOtp") this.otp = undefined;
        return;
      case "dial":
        this.#dialled(effect.dialId);
        return;
      case "prove":
        this.#proven(effect);
        return;
      case "send":
        this.#heard(effect.message);
        return;
      case "readInstance":
        this.#inputs.push({ kind: "instanceRead", effectId: effect.effectId, reading: this.instance });
        return;
      case "readNotices": {
        const { spot, rebalance, autoscaling } = this.notices;
        const rest = effect.look === "all" ? { rebalance, autoscaling } : nothingAsked;
        this.#inputs.push({ kind: "noticesRead", effectId: effect.effectId, reading: { spot, ...rest } });
        return;
      }
      case "readPrefixes":
        if (this.isMetadataSlow) {
          this.#unanswered = effect.effectId;
          return;
        }
        this.#inputs.push({ kind: "prefixesRead", effectId: effect.effectId, reading: this.reading });
        return;
      case "makeIdentity": {
        const record: IdentityRecord = {
          identityKey: key,
          wireguardKey: key,
          ec2InstanceId: effect.ec2InstanceId,
        };
        if (this.diskFails === undefined) this.disk.identity = { is: "saved", record };
        const result = this.diskFails === undefined ? success(record) : failed(this.diskFails);
        this.#inputs.push({ kind: "identityMade", effectId: effect.effectId, result });
        return;
      }
      case "lookForOtp":
        this.#inputs.push({ kind: "otpSeen", effectId: effect.effectId, seen: this.otpSeen });
        return;
      case "saveEnrolment": {
        if (this.diskFails === undefined && this.disk.identity.is === "saved") {
          const record = { ...this.disk.identity.record, enrolment: effect.enrolment };
          this.disk.identity = { is: "saved", record };
        }
        const result = this.diskFails === undefined ? success(undefined) : failed(this.diskFails);
        this.#inputs.push({ kind: "enrolmentSaved", effectId: effect.effectId, result });
        return;
      }
      case "apply":
      case "compare":
      case "readTraffic":
        this.#inputs.push(this.#asked(effect));
        return;
      case "note":
        this.notes.push(effect.note);
    }
  }

  #asked(effect: Extract<AgentEffect, { do: "apply" | "compare" | "readTraffic" }>): AgentInput {
    const { effectId } = effect;
    const fails = (command: string) => failed("datapath.failing", { command });
    const { routes, peers } =
      effect.do === "apply" ? effect.plan : (this.plans.at(-1) ?? { routes: [], peers: [] });
    const held = {
      routes,
      peers: peers.length,
      drift: [],
      resolver: undefined,
      silent: [],
      lingering: undefined,
    };
    switch (effect.do) {
      case "apply":
        if (this.dataPathFails) return { kind: "applied", effectId, result: fails("nft -f rules") };
        this.plans.push(effect.plan);
        return { kind: "applied", effectId, result: success(held) };
      case "compare": {
        const { drift } = this;
        this.drift = [];
        return { kind: "compared", effectId, result: success({ ...held, drift }) };
      }
      case "readTraffic": {
        const result = this.trafficFails ? fails("wg show") : success(this.traffic ?? this.#heardNow());
        return { kind: "trafficRead", effectId, result };
      }
    }
  }

  #heardNow(): ReadonlyMap<string, SessionTraffic> {
    const heard = {
      rxBytes: 0,
      txBytes: 0,
      heardAtMs: this.nowMs,
      handshakeAtMs: undefined,
      endpoint: undefined,
    };
    return new Map((this.plans.at(-1)?.peers ?? []).map(({ session }) => [session, heard]));
  }

  #dialled(dialId: number): void {
    this.#dialId = dialId;
    const input = this.isControllerThere
      ? ({ kind: "received", dialId, message: challenge } as const)
      : ({ kind: "closed", dialId, why: "link.unreachable" } as const);
    this.#inputs.push({ kind: "link", input });
  }

  #proven({ dialId, plan }: Extract<AgentEffect, { do: "prove" }>): void {
    const hear = (message: ControllerMessage) =>
      this.#inputs.push({ kind: "link", input: { kind: "received", dialId, message } });
    if (this.refusal !== undefined) {
      hear({ type: "refused", code: this.refusal, text: this.refusalText });
      this.#inputs.push({ kind: "link", input: { kind: "closed", dialId, why: 4000 } });
      return;
    }
    if (plan.as === "enrol") hear({ type: "enrolled", ...enrolment });
    hear({ type: "welcome", version: 1, heartbeatMs: 5_000, silentMs: 15_000, name: enrolment.name });
    this.#sender.connect();
    this.#receiver.connect();
    this.#flush();
  }

  #heard(message: ClientMessage): void {
    this.sent.push(message);
    if (message.type === "ping") this.#inputs.push(this.#toAgent({ type: "pong", id: message.id }));
    for (let copy = this.copies(); copy > 0; copy--) this.#understood(message);
  }

  #understood(message: ClientMessage): void {
    switch (message.type) {
      case "state":
        this.#reported(message);
        return;
      case "ack":
        this.#sender.acked(message.revision);
        this.#send();
        return;
      case "resync":
        this.#sender.resync();
        this.#send();
        return;
      case "hello":
      case "enrol":
      case "join":
      case "ping":
      case "goodbye":
        return;
    }
  }

  #reported(frame: StateFrame): void {
    const received = this.#receiver.receive(frame);
    switch (received.is) {
      case "change":
        if (received.snapshot) this.observed.clear();
        for (const [name, value] of received.set) this.observed.set(name, structuredClone(value));
        for (const name of received.remove) this.observed.delete(name);
        this.#reply({ type: "ack", revision: received.ack });
        return;
      case "repeated":
        this.#reply({ type: "ack", revision: received.ack });
        return;
      case "gap":
        this.#reply({ type: "resync" });
        return;
      case "part":
      case "too-many":
        return;
    }
  }

  #reply(message: ControllerMessage): void {
    for (let copy = this.copies(); copy > 0; copy--) this.#inputs.push(this.#toAgent(message));
  }

  #send(): void {
    for (const frame of this.#sender.frames(this.nowMs)) this.#reply(structuredClone(frame));
  }

  #flush(): void {
    this.#send();
    this.run();
  }

  #toAgent(message: ControllerMessage): AgentInput {
    return { kind: "link", input: { kind: "received", dialId: this.#dialId, message } };
  }
}

export const challenge: ControllerMessage = {
  type: "challenge",
  nonce: "N".repeat(43),
  version: 1,
  minimumVersion: 1,
  controller: controllerId,
  wallMs: 0,
};
