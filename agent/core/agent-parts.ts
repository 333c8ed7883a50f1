import { earliest, type Instant } from "../../protocol/time.ts";
import { ClockWatch } from "./clock-watch.ts";
import { Conditions } from "./conditions.ts";
import { DataPathControl } from "./datapath.ts";
import { Desired } from "./desired.ts";
import { Enrolment } from "./enrolment.ts";
import { savedHolds } from "./holds.ts";
import type { SavedIdentity } from "./identity.ts";
import { Leases } from "./leases.ts";
import { Lifecycle } from "./lifecycle.ts";
import { instanceOfBoot, Memory, savedPrefixes } from "./memory.ts";
import type { Parameters } from "./parameters.ts";
import type { Saved } from "./ports.ts";
import { Prefixes } from "./prefixes.ts";
import { Report } from "./report.ts";
import { Traffic } from "./traffic.ts";
import { Uplink } from "./uplink.ts";

export interface AgentOptions {
  readonly parameters: Parameters;
  readonly identity: SavedIdentity;
  readonly saved: Saved;
  readonly bootId: string;
  /** The EC2 instance that the host's firmware names, if it names one. */
  readonly firmware: string | undefined;
  /** Of this process alone. */
  readonly process: string;
  readonly version: string;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly coolDownMs?: number;
}

/** The cores an agent is made of. Each owns its state; `Agent` carries what one decides to the others. */
export interface AgentParts {
  readonly parameters: Parameters;
  readonly process: string;
  readonly version: string;
  readonly upSince: Instant;
  readonly uplink: Uplink;
  readonly enrolment: Enrolment;
  readonly desired: Desired;
  /** Entries of the desired state on disk that this version cannot read, and does without. */
  readonly unreadable: number;
  readonly leases: Leases;
  readonly prefixes: Prefixes;
  readonly dataPath: DataPathControl;
  readonly traffic: Traffic;
  readonly lifecycle: Lifecycle;
  readonly memory: Memory;
  readonly report: Report;
  readonly conditions: Conditions;
  readonly clockWatch: ClockWatch;
}

export function makeParts(options: AgentOptions, now: Instant): AgentParts {
  const { parameters, saved, bootId, version, random, coolDownMs } = options;
  const leases = new Leases({ saved, bootId, ...(coolDownMs === undefined ? {} : { coolDownMs }) }, now);
  const report = new Report(leases);
  const desired = new Desired();
  const { unreadable } = desired.restore(saved.desired);
  const prefixes = new Prefixes(savedPrefixes(saved.facts));
  const sinceBoot = instanceOfBoot(saved.facts, bootId);
  const enrolment = new Enrolment(options.identity, parameters, { firmware: options.firmware, sinceBoot });
  const lifecycle = new Lifecycle(savedHolds(saved.facts), parameters.rebalance, options.process);
  lifecycle.obey(desired, now);
  return {
    parameters,
    process: options.process,
    version,
    upSince: now,
    uplink: new Uplink(report, random),
    enrolment,
    desired,
    unreadable,
    leases,
    prefixes,
    dataPath: new DataPathControl(),
    traffic: new Traffic(),
    lifecycle,
    memory: new Memory({ desired, prefixes, holds: lifecycle.holds, enrolment, bootId }),
    report,
    conditions: new Conditions(),
    clockWatch: new ClockWatch(),
  };
}

export function nextDeadlineOf(parts: AgentParts): number | undefined {
  const { uplink, leases, enrolment, prefixes, dataPath, traffic, lifecycle, memory, clockWatch } = parts;
  const timed = [uplink, leases, enrolment, prefixes, dataPath, traffic, lifecycle, memory, clockWatch];
  return earliest(...timed.map((part) => part.nextDeadline()));
}
