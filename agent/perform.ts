import { Failure } from "../protocol/failures.ts";
import { proofText } from "../protocol/messages.ts";
import type { Dialer } from "../protocol/node/dialer.ts";
import type { Logger } from "../protocol/node/log.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import type { Clock } from "../protocol/time.ts";
import { protocolVersion, protocolVersionMin } from "../protocol/version.ts";
import type { Readings } from "./actions.ts";
import type { IdentityFile } from "./adapters/identity-file.ts";
import type { Imds } from "./adapters/imds.ts";
import type { Metrics } from "./adapters/metrics.ts";
import { logNote } from "./adapters/note-log.ts";
import { type AwsNotices, noNotices } from "./adapters/notices.ts";
import type { OtpFile } from "./adapters/otp.ts";
import type { AgentEffect, AgentInput, StorePart } from "./core/agent.ts";
import type { InstanceReading } from "./core/enrolment.ts";
import type { DataPath, Store } from "./core/ports.ts";
import { mergeParts } from "./core/store-batch.ts";

/** The agent's outside: one adapter for each kind of effect. */
export interface Outside {
  readonly dialer: Dialer;
  readonly identity: IdentityFile;
  readonly otp: OtpFile;
  readonly imds: Imds;
  readonly notices: AwsNotices;
  readonly store: Store;
  readonly dataPath: DataPath;
  readonly readings: Readings;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly bootId: string;
  /** Undefined where the host's interfaces are not compared. */
  readonly localAddresses: (() => string[]) | undefined;
  readonly log: Logger;
  readonly post: (input: AgentInput) => void;
  /** The disk is a copy: end, and begin anew as this instance. */
  readonly startOver: (ec2InstanceId: string) => void;
  /** It was asked to leave, and the goodbye is said. */
  readonly left: () => void;
  /** The controller wants another process in this one's place. */
  readonly restart: () => void;
}

/** Does what one turn of the core asks for: first everything that is stored, as one transaction, then the rest in order. */
export function perform(effects: readonly AgentEffect[], outside: Outside): void {
  const parts = effects.flatMap((effect) => (effect.do === "store" ? [effect.part] : []));
  if (parts.length > 0) storeAll(parts, outside);
  for (const effect of effects) performOne(effect, outside);
}

function performOne(effect: AgentEffect, outside: Outside): void {
  const { dialer, identity, otp, imds, notices, dataPath, readings, metrics, log, post } = outside;
  switch (effect.do) {
    case "store":
      break;
    case "dial":
      metrics.dialled();
      dialer.dial(effect.dialId);
      break;
    case "prove":
      prove(effect, outside);
      break;
    case "send":
      dialer.send(effect.dialId, effect.message);
      break;
    case "hangUp":
      dialer.hangUp(effect.dialId, effect.close);
      break;
    case "readInstance":
      answer(readInstance(outside), log, unread, (reading) => {
        post({ kind: "instanceRead", effectId: effect.effectId, reading });
      });
      break;
    case "readPrefixes":
      readings.begun();
      answer(imds.readPrefixes(), log, unread, (reading) => {
        metrics.readPrefixes(reading.is === "known" ? "known" : reading.why);
        post({ kind: "prefixesRead", effectId: effect.effectId, reading });
        readings.ended();
      });
      break;
    case "readNotices":
      answer(notices.read(effect.look), log, noNotices, (reading) => {
        post({ kind: "noticesRead", effectId: effect.effectId, reading });
      });
      break;
    case "left":
      log.info({ reason: effect.reason, sessions: effect.sessions }, "the instance has left the group");
      if (effect.reason === "shutdown") outside.left();
      break;
    case "restart":
      log.info({ restart: effect.id }, "the controller restarts this agent");
      outside.restart();
      break;
    case "makeIdentity":
      post({ kind: "identityMade", effectId: effect.effectId, result: identity.make(effect.ec2InstanceId) });
      break;
    case "lookForOtp":
      post({ kind: "otpSeen", effectId: effect.effectId, seen: otp.look() });
      break;
    case "saveEnrolment": {
      const result = identity.saveEnrolment(effect.enrolment);
      post({ kind: "enrolmentSaved", effectId: effect.effectId, result });
      break;
    }
    case "removeOtp":
      otp.remove();
      break;
    case "startAfresh":
      outside.startOver(effect.ec2InstanceId);
      break;
    case "apply":
      answer(dataPath.apply(effect.plan), log, asResult, (result) => {
        post({ kind: "applied", effectId: effect.effectId, result });
      });
      break;
    case "compare":
      answer(dataPath.compare(), log, asResult, (result) => {
        post({ kind: "compared", effectId: effect.effectId, result });
      });
      break;
    case "readTraffic":
      answer(dataPath.traffic(), log, asResult, (result) => {
        post({ kind: "trafficRead", effectId: effect.effectId, result });
      });
      break;
    case "note":
      logNote(log, effect.note);
  }
}

/** Adapters answer with failures instead of rejecting; for one that rejects all the same, `instead` is the answer. */
function answer<T>(
  work: Promise<T>,
  log: Logger,
  instead: (failure: Failure) => T,
  then: (value: T) => void,
) {
  const caught = work.catch((error: unknown) => {
    log.error({ err: error }, "an adapter failed");
    return instead(new Failure("internal", { error: String(error).slice(0, 200) }, error));
  });
  void caught.then(then);
}

function asResult(failure: Failure): { readonly ok: false; readonly failure: Failure } {
  return { ok: false, failure };
}

function unread({ code: why, facts }: Failure) {
  return { is: "unknown", why, facts } as const;
}

function storeAll(parts: readonly StorePart[], { store, clock, bootId, metrics, post }: Outside): void {
  const batch = mergeParts(parts);
  const begunAt = clock();
  const result = store.commit(batch, { bootId, ...begunAt });
  const why = result.ok ? undefined : result.failure.code;
  const rows = batch.leases.length + batch.desired.set.length + batch.facts.length;
  metrics.committed(rows, (clock().monotonicMs - begunAt.monotonicMs) / 1000, why);
  for (const { of: part, effectId } of parts) post({ kind: "stored", part, effectId, why });
}

async function readInstance({ imds, localAddresses }: Outside): Promise<InstanceReading> {
  const document = await imds.readIdentityDocument();
  if (!document.ok) return unread(document.failure);
  return { is: "known", ...document.value, local: localAddresses?.() };
}

/** Answers the challenge, or hangs up when what it takes went away in between: identity or password. */
function prove(
  { dialId, challenge, plan }: Extract<AgentEffect, { do: "prove" }>,
  { dialer, identity, otp, clock, post }: Outside,
): void {
  const { record } = identity;
  const password = plan.as === "enrol" ? otp.read() : undefined;
  if (record === undefined || (plan.as === "enrol" && password === undefined)) {
    dialer.hangUp(dialId, "done");
    return;
  }
  if (password !== undefined && !isOtp(password.reveal())) {
    // No controller made it, and none would get past its length: refused here, in the controller's place.
    const text = "the OTP file does not hold 16 to 128 characters";
    post({
      kind: "link",
      input: { kind: "received", dialId, message: { type: "refused", code: "otp.unknown", text } },
    });
    dialer.hangUp(dialId, "done");
    return;
  }
  const proof = {
    version: protocolVersion,
    minimumVersion: protocolVersionMin,
    identityKey: record.identityKey,
    signature: identity.sign(proofText("agent", challenge, record.identityKey)),
    software: softwareVersion,
    wallMs: Math.floor(clock().wallMs),
    wireguardKey: record.wireguardKey,
  };
  if (plan.as === "hello" || password === undefined) {
    dialer.send(dialId, { type: "hello", role: "agent", ...proof });
    return;
  }
  const { ec2InstanceId, document, documentSignature } = plan.reading;
  const { primaryIpv4: managementIp, vpcId, subnetId } = plan.facts;
  const claims = { ec2InstanceId, document, documentSignature, managementIp, vpcId, subnetId };
  dialer.send(dialId, { type: "enrol", ...proof, ...claims, otp: password.reveal() });
}

function isOtp(text: string): boolean {
  return text.length >= 16 && text.length <= 128;
}
