import { type Failure, failed, type Result, success } from "../../protocol/failures.ts";
import { limits } from "../../protocol/limits.ts";
import type { Enrol } from "../../protocol/messages.ts";
import { instancesMax } from "./decide-connector.ts";
import { greetInstance } from "./hello.ts";
import { instanceName } from "./instance-name.ts";
import type { Model } from "./model.ts";
import { alsoSpent, usedBy } from "./one-time.ts";
import type { DocumentClaims, DocumentVerdict, Makers } from "./ports.ts";
import { type ConnectorRow, type InstanceRow, type OtpRow, type Plan, put } from "./rows.ts";

/** Who came in, and what to store for it: nothing when it was in already. */
export interface Admission<Row> {
  readonly isNew: boolean;
  readonly plan: Plan;
  readonly row: Row;
}

/**
 * Whether an agent becomes an instance. The proof of its key was verified before. An OTP is spent for one key and in
 * the same transaction that makes the instance, so there is no moment at which one is true without the other.
 *
 * The OTP is looked at first: without a good one, a stranger learns nothing about connectors.
 */
export function decideEnrol(
  request: Enrol,
  verdict: DocumentVerdict,
  context: { readonly model: Model; readonly makers: Makers; readonly nowMs: number },
): Result<Admission<InstanceRow>> {
  const { model, makers, nowMs } = context;
  const otp = model.otpByHash.get(makers.hash(request.otp));
  const known = model.instanceByKey.get(request.identityKey);
  const spent = otpProblem(otp, request.identityKey, known, nowMs);
  if (spent !== undefined || otp === undefined) return refused(spent);
  const connector = model.connectors.get(otp.connector);
  if (connector === undefined) return failed("otp.unknown");

  const skewMs = Math.abs(request.wallMs - nowMs);
  if (skewMs > limits.clockSkewMsMax) {
    return failed("enrol.clock-skew", { seconds: Math.round((request.wallMs - nowMs) / 1000) });
  }
  if (connector.hosting !== "aws") return failed("enrol.not-aws", { hosting: connector.hosting });
  const claims = claimsOf(verdict);
  if (!claims.ok) return claims;

  const problem =
    documentProblem(request, claims.value) ??
    identityProblem(request, known, connector, model) ??
    placeProblem(request, claims.value, connector, model) ??
    (known === undefined ? capacityProblem(connector, model) : undefined);
  if (problem !== undefined) return refused(problem);

  if (known !== undefined) {
    const greeted = greetInstance(known, request.wireguardKey, nowMs);
    return success(alsoSpent(greeted, { table: "otp", row: otp }, known.name, nowMs));
  }
  return success(admit(request, claims.value, otp, connector, context));
}

function refused(problem: Failure | undefined): { ok: false; failure: Failure } {
  return problem === undefined ? failed("otp.unknown") : { ok: false, failure: problem };
}

/** Used by this key is as good as open: the answer to the first request may have been lost. */
function otpProblem(
  otp: OtpRow | undefined,
  identityKey: string,
  known: InstanceRow | undefined,
  nowMs: number,
): Failure | undefined {
  if (otp === undefined) return failed("otp.unknown").failure;
  switch (otp.use.is) {
    case "revoked":
      return failed("otp.revoked").failure;
    case "used":
      // By this key, and its instance was not removed since.
      if (otp.use.identityKey === identityKey && known !== undefined) return undefined;
      return failed("otp.used", { by: otp.use.by }).failure;
    case "open":
      if (nowMs < otp.expiresAtMs) return undefined;
      return failed("otp.expired", { minutesAgo: Math.floor((nowMs - otp.expiresAtMs) / 60_000) }).failure;
  }
}

function claimsOf(verdict: DocumentVerdict): Result<DocumentClaims> {
  switch (verdict.is) {
    case "genuine":
      return success(verdict.claims);
    case "malformed":
      return failed("enrol.document-malformed", { problem: verdict.problem });
    case "untrusted":
      return failed("enrol.document-untrusted", { region: verdict.region });
    case "forged":
      return failed("enrol.document-forged", { region: verdict.region });
  }
}

/** A document is public enough to be copied: it must be about the host that presents it. */
function documentProblem(request: Enrol, claims: DocumentClaims): Failure | undefined {
  if (claims.instanceId !== request.ec2InstanceId) {
    const facts = { document: claims.instanceId, agent: request.ec2InstanceId };
    return failed("enrol.document-foreign", facts).failure;
  }
  if (claims.privateIp !== request.managementIp) {
    const facts = { document: claims.privateIp, agent: request.managementIp };
    return failed("enrol.document-foreign", facts).failure;
  }
  return undefined;
}

/** One key, one EC2 instance, one connector: for ever. */
function identityProblem(
  request: Enrol,
  known: InstanceRow | undefined,
  connector: ConnectorRow,
  model: Model,
): Failure | undefined {
  if (known !== undefined && known.ec2InstanceId !== request.ec2InstanceId) {
    return failed("enrol.key-in-use", { instance: known.name }).failure;
  }
  if (known !== undefined && known.connector !== connector.name) {
    return failed("enrol.other-connector", { connector: known.connector }).failure;
  }
  const holder = model.instanceByEc2Id.get(request.ec2InstanceId);
  if (holder !== undefined && holder.identityKey !== request.identityKey) {
    return failed("enrol.document-replayed", { instance: holder.name }).failure;
  }
  return undefined;
}

function placeProblem(
  request: Enrol,
  claims: DocumentClaims,
  connector: ConnectorRow,
  model: Model,
): Failure | undefined {
  if (claims.region !== connector.region) {
    return failed("enrol.other-region", { instance: claims.region, connector: connector.region }).failure;
  }
  if (connector.accounts.length > 0 && !connector.accounts.includes(claims.accountId)) {
    return failed("enrol.other-account", { account: claims.accountId }).failure;
  }
  const vpc = connector.vpc ?? model.instancesOf(connector.name)[0]?.vpcId;
  if (vpc !== undefined && vpc !== request.vpcId) {
    return failed("enrol.other-vpc", { instance: request.vpcId, connector: vpc }).failure;
  }
  return undefined;
}

function capacityProblem({ name, mode }: ConnectorRow, model: Model): Failure | undefined {
  const max = instancesMax[mode];
  if (model.instancesOf(name).length < max) return undefined;
  return failed("enrol.group-full", { connector: name, mode, instances: max }).failure;
}

function admit(
  request: Enrol,
  claims: DocumentClaims,
  otp: OtpRow,
  connector: ConnectorRow,
  { model, makers, nowMs }: { readonly model: Model; readonly makers: Makers; readonly nowMs: number },
): Admission<InstanceRow> {
  const number = model.instancesEver + 1;
  const name = instanceName(connector.hosting, connector.region, number);
  const row: InstanceRow = {
    id: makers.id(),
    name,
    connector: connector.name,
    identityKey: request.identityKey,
    wireguardKey: request.wireguardKey,
    ec2InstanceId: request.ec2InstanceId,
    managementIp: request.managementIp,
    accountId: claims.accountId,
    region: claims.region,
    availabilityZone: claims.availabilityZone,
    vpcId: request.vpcId,
    subnetId: request.subnetId,
    endpoint: null,
    vpcCidrs: [],
    pools: {},
    drainSinceMs: null,
    enrolledAtMs: nowMs,
  };
  return {
    isNew: true,
    row,
    plan: {
      changes: [
        put("instance", row),
        put("otp", { ...otp, use: usedBy(request.identityKey, name) }),
        put("counter", { name: "instances", value: number }),
      ],
      audit: [
        {
          atMs: nowMs,
          actor: `otp:${otp.id}`,
          action: "instance.enrol",
          subject: `instance/${name}`,
          before: null,
          after: row,
        },
      ],
    },
  };
}
