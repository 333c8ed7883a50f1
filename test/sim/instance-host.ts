import { Agent, type AgentEffect, type AgentInput } from "../../agent/core/agent.ts";
import type { InstanceReading } from "../../agent/core/enrolment.ts";
import type { IdentityRecord, SavedIdentity } from "../../agent/core/identity.ts";
import type { Parameters } from "../../agent/core/parameters.ts";
import {
  type DataPathPlan,
  type LeaseRow,
  pairKey,
  type Saved,
  type SessionTraffic,
  type StoreBatch,
} from "../../agent/core/ports.ts";
import { mergeParts } from "../../agent/core/store-batch.ts";
import { closeCodes } from "../../protocol/close.ts";
import { type FailureCode, failed, type Result, success } from "../../protocol/failures.ts";
import type { LinkInput } from "../../protocol/link.ts";
import { proofText } from "../../protocol/messages.ts";
import type { Agenda } from "./agenda.ts";
import { InstanceKernel } from "./kernel.ts";
import { key, sign } from "./makers.ts";
import { Metadata, unreachable } from "./metadata.ts";
import type { Blocked, Client, Network } from "./network.ts";
import { Process } from "./process.ts";
import type { Random } from "./random.ts";

const wallStartMs = Date.UTC(2026, 0, 1);

/** What the disk of an instance holds; outlives the process and the boot. */
export interface InstanceDisk {
  identity: SavedIdentity;
  leases: Map<string, LeaseRow>;
  desired: Map<string, unknown>;
  facts: Map<string, unknown>;
  clock: Saved["clock"];
  lostTo: string | undefined;
  otp: { readonly mark: string; readonly text: string } | undefined;
}

export type DiskFault =
  | { readonly is: "failing"; readonly why: FailureCode }
  /** It fails, and what was to be written is there all the same. */
  | { readonly is: "failing late"; readonly why: FailureCode }
  | { readonly is: "slow" };
export type DataPathFault = "failing" | "slow" | "unreadable";

export interface InstanceWatcher {
  /** Before the batch is on disk. */
  writing(host: InstanceHost, batch: StoreBatch): void;
  /** The agent wants its kernel to be so. */
  planned(host: InstanceHost, plan: DataPathPlan): void;
  /** Everything in its database is gone. */
  lost(host: InstanceHost): void;
}

/** An EC2 instance: host, kernel, disk, metadata service, and the agent while it runs. */
export class InstanceHost implements Client {
  readonly name: string;
  readonly address: string;
  readonly ec2InstanceId: string;
  readonly control: Blocked = { out: false, in: false };
  readonly kernel: InstanceKernel;
  readonly disk: InstanceDisk;
  diskFault: DiskFault | undefined;
  readonly metadata: Metadata;
  dataPathFault: DataPathFault | undefined;
  /** The next write is the last thing the process does: before it reaches the disk, or after. */
  diesAtWrite: "before" | "after" | undefined;
  process: Process<AgentInput, AgentEffect> | undefined;
  /** The prefixes AWS routes here. */
  prefixes: readonly string[] = [];
  /** When the prefixes last changed, or the metadata service last lied about them. */
  doubtedAtMs = Number.NEGATIVE_INFINITY;
  /** Why it is to be empty: an operator's word on it, or AWS's. */
  readonly drains = new Set<string>();
  /** When one of these last began or ended. */
  drainedAtMs = Number.NEGATIVE_INFINITY;
  /** The plan that was applied last, by this process. */
  plan: DataPathPlan | undefined;
  starts = 0;
  /** The start in which it was told last that it is removed. */
  removedIn = 0;
  /** What the wall clock was set to, against the true time. */
  wallOffsetMs = 0;
  readonly #number: number;
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #network: Network;
  readonly #watcher: InstanceWatcher;
  readonly #coolDownMs: number;
  #boots = 1;
  #bootedAtMs = -60_000;

  constructor(
    number: number,
    options: {
      agenda: Agenda;
      random: Random;
      network: Network;
      watcher: InstanceWatcher;
      coolDownMs: number;
    },
  ) {
    this.#number = number;
    this.name = `instance ${number}`;
    this.address = `172.18.139.${number}`;
    this.ec2InstanceId = `i-${number.toString(16).padStart(17, "0")}`;
    this.kernel = new InstanceKernel(key("iwg", number));
    this.metadata = new Metadata(this.address, options.random.fork("metadata"));
    this.#agenda = options.agenda;
    this.#random = options.random;
    this.#network = options.network;
    this.#watcher = options.watcher;
    this.#coolDownMs = options.coolDownMs;
    this.disk = {
      ...{ identity: { is: "none" }, leases: new Map(), desired: new Map(), facts: new Map() },
      ...{ clock: undefined, lostTo: undefined, otp: undefined },
    };
  }

  get isUp(): boolean {
    return this.kernel.isUp;
  }

  get agent(): Agent | undefined {
    return this.process?.core as Agent | undefined;
  }

  get identityKey(): string {
    return key("ikey", this.#number);
  }

  get now() {
    const { nowMs } = this.#agenda;
    return {
      monotonicMs: nowMs - this.#bootedAtMs + 0.5,
      wallMs: wallStartMs + nowMs + this.wallOffsetMs,
    };
  }

  start(): void {
    if (this.process !== undefined || !this.isUp) return;
    this.starts += 1;
    this.plan = undefined;
    const random = this.#random.fork(`agent ${this.starts}`);
    const { identity, leases, desired, facts, clock, lostTo } = this.disk;
    const saved: Saved = {
      leases: [...leases.values()],
      desired: new Map(desired),
      facts: new Map(facts),
      ...{ clock, lostTo },
    };
    const core = new Agent(
      {
        ...{ parameters: this.#parameters(), identity, saved, bootId: `boot ${this.#boots}` },
        firmware: this.ec2InstanceId,
        ...{
          process: processId(this.#number, this.starts),
          version: "0.1.0",
          random: () => random.next(),
          coolDownMs: this.#coolDownMs,
        },
      },
      this.now,
    );
    const process = new Process<AgentInput, AgentEffect>({
      agenda: this.#agenda,
      core,
      perform: (effects) => this.#perform(effects, process),
      tick: { kind: "tick" },
      clock: () => this.now,
    });
    this.process = process;
    process.post({ kind: "start" });
    this.#verifyLater(process);
  }

  /** SIGKILL: the kernel goes on forwarding. */
  kill(): void {
    this.#end(true);
  }

  /** SIGTERM: it ends in order, without a goodbye. */
  stop(): void {
    this.process?.post({ kind: "stop" });
    this.process?.flush();
    this.#end(true);
  }

  /** The host is gone with everything but its disk, and tells nobody. */
  crash(): void {
    this.#end(false);
    this.kernel.crash();
  }

  /** The process ends, and the next one finds its database damaged. Keys and password are in files of their own. */
  loseStore(): void {
    this.kill();
    this.#watcher.lost(this);
    const { disk } = this;
    disk.leases.clear();
    disk.desired.clear();
    disk.facts.clear();
    disk.clock = undefined;
    disk.lostTo = "state.db.damaged";
  }

  /** For the reason it is to be empty from now on, or no longer. */
  drain(reason: string, isOn: boolean): void {
    if (isOn) this.drains.add(reason);
    else this.drains.delete(reason);
    this.drainedAtMs = this.#agenda.nowMs;
  }

  boot(): void {
    if (this.isUp) return;
    this.kernel.isUp = true;
    this.#boots += 1;
    this.#bootedAtMs = this.#agenda.nowMs - 5_000;
    this.start();
  }

  hear(input: LinkInput): void {
    if (input.kind === "closed" && input.why === closeCodes.removed.code) this.removedIn = this.starts;
    this.process?.post({ kind: "link", input });
  }

  post(input: AgentInput): void {
    this.process?.post(input);
  }

  /** What AWS routes here from now on; the metadata service follows. */
  assign(prefixes: readonly string[], lagMs: number): void {
    const isFirst = this.starts === 0;
    if (!isFirst && prefixes.join() !== this.prefixes.join()) this.doubtedAtMs = this.#agenda.nowMs;
    this.prefixes = prefixes;
    this.#agenda.after(lagMs, () => this.#metadataFollows());
  }

  #metadataFollows(): void {
    if (this.metadata.fault === "stale") this.#agenda.after(1_000, () => this.#metadataFollows());
    else this.metadata.told = this.prefixes;
  }

  #end(isTold: boolean): void {
    if (this.process === undefined) return;
    this.process.kill();
    this.process = undefined;
    this.#network.clientDied(this, isTold);
  }

  #parameters(): Parameters {
    return {
      ...{ controller: "https://controller.example.com", ip: this.address, gateway: "172.18.128.1" },
      ...{ otpFile: "/run/credstore/connector.otp", caFile: undefined, health: "off", logLevel: "info" },
      ...{
        rebalance: this.#number % 2 === 0 ? "drain" : "show",
        wireguardPort: 51_820,
        publicAddress: this.address,
        prefixSchedule: "* * * * *",
      },
    };
  }

  /** The schedule, faster than in production: a minute is long here. */
  #verifyLater(process: Process<AgentInput, AgentEffect>): void {
    this.#agenda.after(10_000, () => {
      if (!process.isRunning) return;
      process.post({ kind: "verify" });
      this.#verifyLater(process);
    });
  }

  #perform(effects: readonly AgentEffect[], process: Process<AgentInput, AgentEffect>): void {
    const parts = effects.flatMap((effect) => (effect.do === "store" ? [effect.part] : []));
    if (parts.length > 0) {
      const why = this.#store(mergeParts(parts));
      for (const { of: part, effectId } of parts) process.post({ kind: "stored", part, effectId, why });
    }
    for (const effect of effects) if (process.isRunning) this.#performOne(effect, process);
  }

  #store(batch: StoreBatch): FailureCode | undefined {
    const { diesAtWrite, diskFault } = this;
    if (diesAtWrite === "before") {
      this.diesAtWrite = undefined;
      this.kill();
      return undefined;
    }
    if (diskFault?.is === "failing") return diskFault.why;
    if (diskFault?.is === "slow") this.process?.holdUp(this.#random.between(50, 1_500));
    this.#watcher.writing(this, batch);
    const { disk } = this;
    for (const pair of batch.forgotten) disk.leases.delete(pair);
    for (const row of batch.leases) disk.leases.set(pairKey(row.ipv4, row.ipv6), row);
    if (batch.desired.clear) disk.desired.clear();
    for (const name of batch.desired.remove) disk.desired.delete(name);
    for (const [name, value] of batch.desired.set) disk.desired.set(name, structuredClone(value));
    for (const [name, value] of batch.facts) disk.facts.set(name, structuredClone(value));
    if (batch.recovered) disk.lostTo = undefined;
    disk.clock = { bootId: `boot ${this.#boots}`, ...this.now };
    if (diesAtWrite === "after") {
      this.diesAtWrite = undefined;
      this.kill();
    }
    return diskFault?.is === "failing late" ? diskFault.why : undefined;
  }

  #performOne(effect: AgentEffect, process: Process<AgentInput, AgentEffect>): void {
    const { disk } = this;
    switch (effect.do) {
      case "store":
      case "note":
        return;
      case "dial":
        this.#network.dial(this, effect.dialId);
        return;
      case "prove":
        this.#prove(effect);
        return;
      case "send":
        this.#network.fromClient(this, effect.dialId, effect.message);
        return;
      case "hangUp":
        this.#network.hangUp(this, effect.dialId, effect.close);
        return;
      case "readInstance":
        this.#agenda.after(this.#random.between(1, 30), () =>
          process.post({ kind: "instanceRead", effectId: effect.effectId, reading: this.#instance() }),
        );
        return;
      case "readPrefixes":
        this.#readPrefixes(effect.effectId, process);
        return;
      case "readNotices":
        this.#agenda.after(this.metadata.takesMs, () =>
          process.post({
            ...{ kind: "noticesRead", effectId: effect.effectId },
            reading: this.metadata.readNotices(),
          }),
        );
        return;
      case "left":
        return;
      case "makeIdentity":
        process.post({ kind: "identityMade", effectId: effect.effectId, result: this.#makeIdentity() });
        return;
      case "lookForOtp":
        process.post({
          kind: "otpSeen",
          effectId: effect.effectId,
          seen: disk.otp === undefined ? { is: "none" } : { is: "there", mark: disk.otp.mark },
        });
        return;
      case "saveEnrolment": {
        const isFailing = this.diskFault?.is === "failing";
        if (!isFailing && disk.identity.is === "saved") {
          disk.identity = { is: "saved", record: { ...disk.identity.record, enrolment: effect.enrolment } };
        }
        const result = isFailing ? failed("store.full") : success(undefined);
        process.post({ kind: "enrolmentSaved", effectId: effect.effectId, result });
        return;
      }
      case "removeOtp":
        disk.otp = undefined;
        return;
      case "startAfresh":
        throw new Error("no disk was copied");
      case "restart":
        // The service manager starts it again.
        this.stop();
        this.#agenda.after(this.#random.between(100, 1_500), () => this.start());
        return;
      case "apply":
      case "compare":
      case "readTraffic":
        this.#dataPath(effect, process);
    }
  }

  #prove({ dialId, challenge, plan }: Extract<AgentEffect, { do: "prove" }>): void {
    const { identity, otp } = this.disk;
    if (identity.is !== "saved" || (plan.as === "enrol" && otp === undefined)) {
      this.#network.hangUp(this, dialId, "done");
      return;
    }
    const { identityKey, wireguardKey } = identity.record;
    const proof = {
      ...{ version: 1, minimumVersion: 1, identityKey, wireguardKey, software: "0.1.0" },
      signature: sign(proofText("agent", challenge, identityKey), identityKey),
      wallMs: Math.floor(this.now.wallMs),
    };
    if (plan.as === "hello" || otp === undefined) {
      this.#network.fromClient(this, dialId, { type: "hello", role: "agent", ...proof });
      return;
    }
    const { ec2InstanceId, document, documentSignature } = plan.reading;
    const { primaryIpv4: managementIp, vpcId, subnetId } = plan.facts;
    const claims = { ec2InstanceId, document, documentSignature, managementIp, vpcId, subnetId };
    this.#network.fromClient(this, dialId, { type: "enrol", ...proof, ...claims, otp: otp.text });
  }

  #instance(): InstanceReading {
    if (!this.metadata.isAnswering) return unreachable;
    const claims = {
      ...{ accountId: "123456789012", region: "us-east-1", availabilityZone: "us-east-1a" },
      ...{ instanceId: this.ec2InstanceId, privateIp: this.address },
    };
    return {
      ...{ is: "known", ec2InstanceId: this.ec2InstanceId, document: JSON.stringify(claims) },
      ...{ documentSignature: "s".repeat(32), local: undefined },
    };
  }

  #makeIdentity(): Result<IdentityRecord> {
    if (this.diskFault?.is === "failing") return failed(this.diskFault.why);
    const { identityKey, ec2InstanceId } = this;
    const record = { identityKey, wireguardKey: this.kernel.publicKey, ec2InstanceId };
    this.disk.identity = { is: "saved", record };
    return success(record);
  }

  #readPrefixes(effectId: number, process: Process<AgentInput, AgentEffect>): void {
    const doubted = () => {
      this.doubtedAtMs = this.#agenda.nowMs;
    };
    this.#agenda.after(this.metadata.takesMs, () => {
      const reading = this.metadata.readPrefixes(!this.disk.facts.has("prefixes"), doubted);
      process.post({ kind: "prefixesRead", effectId, reading });
    });
  }

  #dataPath(
    effect: Extract<AgentEffect, { do: "apply" | "compare" | "readTraffic" }>,
    process: Process<AgentInput, AgentEffect>,
  ): void {
    const { effectId } = effect;
    if (effect.do === "apply") this.#watcher.planned(this, effect.plan);
    const fault = this.dataPathFault;
    const takesMs = fault === "slow" ? this.#random.between(500, 4_000) : this.#random.between(1, 40);
    this.#agenda.after(takesMs, () => {
      if (!process.isRunning) return;
      switch (effect.do) {
        case "apply": {
          if (fault !== "failing") this.#apply(effect.plan);
          const result =
            fault === "failing" ? failed("datapath.failing", { command: "wg" }) : success(this.#held());
          process.post({ kind: "applied", effectId, result });
          return;
        }
        case "compare": {
          const result =
            fault === "unreadable" ? failed("datapath.failing", { command: "wg" }) : success(this.#held());
          process.post({ kind: "compared", effectId, result });
          return;
        }
        case "readTraffic": {
          const result =
            fault === "unreadable" ? failed("datapath.failing", { command: "wg" }) : success(this.#traffic());
          process.post({ kind: "trafficRead", effectId, result });
        }
      }
    });
  }

  #apply(plan: DataPathPlan): void {
    this.kernel.bring(plan);
    this.plan = plan;
  }

  #held() {
    const { routes, peers } = this.kernel;
    const nothing = { resolver: undefined, silent: [], lingering: undefined };
    return { routes, peers: peers.size, drift: this.kernel.drift(this.plan), ...nothing };
  }

  #traffic(): ReadonlyMap<string, SessionTraffic> {
    return new Map(
      [...this.kernel.peers.values()].map(({ session, heardAtMs }) => [
        session,
        {
          ...{ rxBytes: 0, txBytes: 0, handshakeAtMs: undefined, endpoint: undefined },
          heardAtMs: heardAtMs === undefined ? undefined : heardAtMs - this.#bootedAtMs,
        },
      ]),
    );
  }
}

/** Another one for each process. */
function processId(instance: number, start: number): string {
  return `00000000-0000-4000-8000-${String(instance * 1_000_000 + start).padStart(12, "0")}`;
}
