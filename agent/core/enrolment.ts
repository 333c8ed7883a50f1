import type { Failure, FailureCode, Result } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { Problem } from "./conditions.ts";
import { identityProblems, otpProblems } from "./enrolment-problems.ts";
import {
  type EnrolmentEffect,
  type Identity,
  type InstanceReading,
  identityOf,
  type OtpSeen,
  type ProofPlan,
  type Saving,
  savedOf,
} from "./enrolment-states.ts";
import {
  decideIdentity,
  type EnrolmentRecord,
  type HostIdentity,
  type IdentityDecision,
  type IdentityRecord,
  type SavedIdentity,
} from "./identity.ts";
import type { Parameters } from "./parameters.ts";
import { compareWithInstance } from "./placement.ts";
import type { InterfaceFacts } from "./ports.ts";

export type { EnrolmentEffect, InstanceReading, OtpSeen, ProofPlan } from "./enrolment-states.ts";

const otpEveryMs = 2_000;
const saveAgainAfterMs = 5_000;
const readAgain = { minMs: 1_000, maxMs: 30_000 } as const;

/** Refusals that a new OTP cures although this instance was enrolled once. */
const enrolAgainOn: ReadonlySet<FailureCode> = new Set(["link.identity-unknown", "link.removed"]);

/**
 * The way to an enrolled instance: who the metadata service says this is, the identity on disk, the one-time password,
 * and from these whether and as whom the controller may be dialled.
 */
export class Enrolment {
  #identity: Identity;
  #saving: Saving = { kind: "saved" };
  readonly #parameters: Pick<Parameters, "ip" | "gateway" | "otpFile">;
  readonly #host: HostIdentity;
  #effects = 0;
  #reading: InstanceReading | undefined;
  #read: { readonly effectId: number | undefined; readonly attempt: number; readonly dueAtMs: number };
  #facts: InterfaceFacts | undefined;
  #compared:
    | {
        readonly facts: InterfaceFacts;
        readonly local: readonly string[] | undefined;
        readonly failures: readonly Failure[];
      }
    | undefined;
  #otp: { readonly effectId: number | undefined; readonly dueAtMs: number; readonly seen: OtpSeen };
  /** The controller refused the enrolled identity. */
  #isRejected = false;
  /** What the last challenge was answered with. */
  #provedAs: ProofPlan["as"] | undefined;

  constructor(
    saved: SavedIdentity,
    parameters: Pick<Parameters, "ip" | "gateway" | "otpFile">,
    host: HostIdentity,
  ) {
    this.#identity = identityOf(saved);
    this.#parameters = parameters;
    this.#host = host;
    this.#read = { effectId: undefined, attempt: 0, dueAtMs: 0 };
    this.#otp = { effectId: undefined, dueAtMs: 0, seen: { is: "none" } };
  }

  get record(): IdentityRecord | undefined {
    return this.#identity.kind === "held" ? this.#identity.record : undefined;
  }

  /** The EC2 instance that the metadata service has named since this boot began. */
  get instanceSinceBoot(): string | undefined {
    return this.#instanceNow ?? this.#host.sinceBoot;
  }

  /** Undefined while the controller must not be dialled. */
  get proof(): ProofPlan | undefined {
    const { record } = this;
    if (record === undefined || this.#reading === undefined || this.#decision !== "use") return undefined;
    const mayEnrol =
      this.#otp.seen.is === "there" && this.#facts !== undefined && this.#mismatches().length === 0;
    if (mayEnrol && this.#wantsOtp && this.#reading.is === "known" && this.#facts !== undefined) {
      return { as: "enrol", reading: this.#reading, facts: this.#facts };
    }
    return record.enrolment === undefined ? undefined : { as: "hello" };
  }

  /** The answer to a challenge. */
  prove(): ProofPlan | undefined {
    this.#provedAs = this.proof?.as;
    return this.proof;
  }

  /** Who was refused as unknown has a password by now: perhaps one that was there all the time. */
  get mayEnrolNow(): boolean {
    return this.#provedAs === "hello" && this.proof?.as === "enrol";
  }

  /** Starts what is due. */
  next(now: Instant): EnrolmentEffect[] {
    return [
      ...this.#readInstance(now),
      ...this.#settleIdentity(now),
      ...this.#lookForOtp(now),
      ...this.#save(now),
    ];
  }

  instanceRead(effectId: number, reading: InstanceReading, now: Instant): void {
    if (this.#read.effectId !== effectId) return;
    // A reading that failed says nothing: what was known stays known.
    if (reading.is === "known" || this.#reading?.is !== "known") this.#reading = reading;
    const waitMs = Math.min(readAgain.maxMs, readAgain.minMs * 2 ** Math.min(this.#read.attempt, 16));
    const dueAtMs = reading.is === "known" ? Number.POSITIVE_INFINITY : now.monotonicMs + waitMs;
    this.#read = { effectId: undefined, attempt: this.#read.attempt + 1, dueAtMs };
  }

  interfaceRead(facts: InterfaceFacts, now: Instant): void {
    this.#facts = facts;
    // The host's own addresses may have come later than the reading they were compared with.
    if (this.#mismatches().length > 0) this.#read = { ...this.#read, dueAtMs: now.monotonicMs };
  }

  identityMade(effectId: number, result: Result<IdentityRecord>, now: Instant): void {
    if (this.#identity.kind !== "making" || this.#identity.effectId !== effectId) return;
    const retryAtMs = now.monotonicMs + saveAgainAfterMs;
    this.#identity = result.ok
      ? { kind: "held", record: result.value }
      : { kind: "notMade", failure: result.failure, retryAtMs };
  }

  /** Whether another password than before is there: worth another try. */
  otpSeen(effectId: number, seen: OtpSeen, now: Instant): boolean {
    if (this.#otp.effectId !== effectId) return false;
    const before = this.#otp.seen;
    this.#otp = { effectId: undefined, dueAtMs: now.monotonicMs + otpEveryMs, seen };
    return seen.is === "there" && !(before.is === "there" && before.mark === seen.mark);
  }

  enrolled(enrolment: EnrolmentRecord): EnrolmentEffect[] {
    if (this.#identity.kind !== "held") return [];
    this.#isRejected = false;
    this.#identity = { kind: "held", record: { ...this.#identity.record, enrolment } };
    return this.#startSaving(this.#identity.record);
  }

  /** The controller accepted the proof: no password is needed any more. */
  welcomed(name: string): EnrolmentEffect[] {
    this.#isRejected = false;
    const enrolment = this.record?.enrolment;
    if (enrolment === undefined || this.#saving.kind !== "saved") return [];
    return enrolment.name === name ? [{ do: "removeOtp" }] : this.enrolled({ ...enrolment, name });
  }

  /** In words, or by the code with which a link was closed. */
  refused(why: FailureCode): void {
    if (enrolAgainOn.has(why)) this.#isRejected = true;
  }

  enrolmentSaved(effectId: number, result: Result<void>, now: Instant): EnrolmentEffect[] {
    if (this.#saving.kind !== "saving" || this.#saving.effectId !== effectId) return [];
    if (!result.ok) {
      const retryAtMs = now.monotonicMs + saveAgainAfterMs;
      this.#saving = { kind: "failed", failure: result.failure, retryAtMs };
      return [];
    }
    this.#saving = { kind: "saved" };
    return [{ do: "removeOtp" }];
  }

  /** Something was changed by hand: look at everything again, now. */
  reload(saved: SavedIdentity): void {
    if (this.#identity.kind === "unreadable" || this.#identity.kind === "none")
      this.#identity = identityOf(saved);
    this.#read = { effectId: this.#read.effectId, attempt: 0, dueAtMs: 0 };
    this.#otp = { ...this.#otp, dueAtMs: 0 };
  }

  problems(): Problem[] {
    const seen = { saving: this.#saving, reading: this.#reading, decision: this.#decision };
    const isOtpMissed = this.#wantsOtp && this.#otp.dueAtMs > 0;
    return [
      ...this.#mismatches().map(({ code, facts }) => ({ code, facts })),
      ...identityProblems({ identity: this.#identity, ...seen }),
      ...(isOtpMissed ? otpProblems(this.#otp.seen, this.#parameters.otpFile) : []),
    ];
  }

  nextDeadline(): number | undefined {
    return earliest(
      this.#read.effectId === undefined && Number.isFinite(this.#read.dueAtMs)
        ? this.#read.dueAtMs
        : undefined,
      this.#identity.kind === "notMade" ? this.#identity.retryAtMs : undefined,
      this.#wantsOtp && this.#otp.effectId === undefined ? this.#otp.dueAtMs : undefined,
      this.#saving.kind === "failed" ? this.#saving.retryAtMs : undefined,
    );
  }

  get #instanceNow(): string | undefined {
    return this.#reading?.is === "known" ? this.#reading.ec2InstanceId : undefined;
  }

  /** Undefined while one is being made. */
  get #decision(): IdentityDecision | undefined {
    const identity = this.#identity;
    if (identity.kind === "making" || identity.kind === "replacing") return undefined;
    return decideIdentity(savedOf(identity), this.#instanceNow, this.#host);
  }

  get #wantsOtp(): boolean {
    const { record } = this;
    return record !== undefined && (record.enrolment === undefined || this.#isRejected);
  }

  /** Compared once for each reading: it is asked for at every turn. */
  #mismatches(): readonly Failure[] {
    const facts = this.#facts;
    if (facts === undefined) return [];
    const local = this.#reading?.is === "known" ? this.#reading.local : undefined;
    if (this.#compared?.facts !== facts || this.#compared.local !== local) {
      this.#compared = { facts, local, failures: compareWithInstance(this.#parameters, facts, local) };
    }
    return this.#compared.failures;
  }

  #readInstance(now: Instant): EnrolmentEffect[] {
    if (this.#read.effectId !== undefined || now.monotonicMs < this.#read.dueAtMs) return [];
    const effectId = ++this.#effects;
    this.#read = { ...this.#read, effectId };
    return [{ do: "readInstance", effectId }];
  }

  #settleIdentity(now: Instant): EnrolmentEffect[] {
    const identity = this.#identity;
    if (identity.kind === "notMade" && now.monotonicMs < identity.retryAtMs) return [];
    const ec2InstanceId = this.#instanceNow;
    switch (this.#decision) {
      case undefined:
      case "use":
      case "wait":
      case "repair":
        return [];
      case "make": {
        if (ec2InstanceId === undefined) return [];
        const effectId = ++this.#effects;
        this.#identity = { kind: "making", effectId };
        return [{ do: "makeIdentity", effectId, ec2InstanceId }];
      }
      case "replace":
        if (ec2InstanceId === undefined) return [];
        this.#identity = { kind: "replacing" };
        return [{ do: "startAfresh", ec2InstanceId }];
    }
  }

  #lookForOtp(now: Instant): EnrolmentEffect[] {
    if (!this.#wantsOtp || this.#otp.effectId !== undefined || now.monotonicMs < this.#otp.dueAtMs) return [];
    const effectId = ++this.#effects;
    this.#otp = { ...this.#otp, effectId };
    return [{ do: "lookForOtp", effectId }];
  }

  #save(now: Instant): EnrolmentEffect[] {
    if (this.#saving.kind !== "failed" || now.monotonicMs < this.#saving.retryAtMs) return [];
    return this.record === undefined ? [] : this.#startSaving(this.record);
  }

  #startSaving(record: IdentityRecord): EnrolmentEffect[] {
    if (record.enrolment === undefined) return [];
    const effectId = ++this.#effects;
    this.#saving = { kind: "saving", effectId, record };
    return [{ do: "saveEnrolment", effectId, enrolment: record.enrolment }];
  }
}
