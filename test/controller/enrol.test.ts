import { describe, expect, test } from "vitest";
import type { DocumentClaims, DocumentVerdict } from "../../controller/core/ports.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { Enrol } from "../../protocol/messages.ts";
import { Harness } from "./harness.ts";
import { connectorInput, Ec2, otpFor, withConnector } from "./peers.ts";

const hourMs = 3_600_000;
const otherVpc = "vpc-0fedcba9876543210";

interface Case {
  readonly prepare?: (h: Harness, ec2: Ec2) => void;
  readonly otp?: (h: Harness) => string;
  readonly request?: (h: Harness, ec2: Ec2) => Partial<Enrol>;
  readonly claims?: Partial<DocumentClaims>;
  readonly verdict?: DocumentVerdict;
}

const usedOtp = (h: Harness) => {
  const { secret } = otpFor(h);
  new Ec2().enrol(h, secret);
  return secret;
};

/** Every way in which an agent is refused, and how to come to it. A code without a case does not compile. */
type Refusal = Exclude<
  Extract<FailureCode, `enrol.${string}` | `otp.${string}`>,
  "otp.missing" | "otp.unreadable" | "enrol.document-missing"
>;

const cases: Record<Refusal, Case> = {
  "otp.unknown": { otp: () => "otp_00000000000000000000000000000000" },
  "otp.used": { otp: usedOtp },
  "otp.expired": {
    otp: (h) => {
      const { secret } = otpFor(h);
      h.pass(24 * hourMs);
      return secret;
    },
  },
  "otp.revoked": {
    otp: (h) => {
      const { id, secret } = otpFor(h);
      h.do({ command: "otp.revoke", otp: id });
      return secret;
    },
  },
  "enrol.clock-skew": { request: (h) => ({ wallMs: h.wallMs - hourMs }) },
  "enrol.not-aws": {
    otp: (h) => {
      const connector = connectorInput({ name: "rack", hosting: "on-prem", mode: "standalone", groups: [] });
      h.do({ command: "connector.create", connector });
      return otpFor(h, "rack").secret;
    },
  },
  "enrol.document-malformed": { verdict: { is: "malformed", problem: "region" } },
  "enrol.document-untrusted": { verdict: { is: "untrusted", region: "us-east-1" } },
  "enrol.document-forged": { verdict: { is: "forged", region: "us-east-1" } },
  "enrol.document-foreign": { claims: { privateIp: "172.18.99.99" } },
  "enrol.document-replayed": {
    prepare: (h, ec2) => {
      const first = new Ec2();
      first.enrol(
        h,
        otpFor(h).secret,
        { ec2InstanceId: ec2.instanceId, managementIp: ec2.ip },
        { instanceId: ec2.instanceId, privateIp: ec2.ip },
      );
    },
  },
  "enrol.key-in-use": {
    prepare: (h, ec2) => {
      const clone = new Ec2();
      const own = { ec2InstanceId: clone.instanceId, managementIp: clone.ip, identityKey: ec2.identityKey };
      clone.enrol(h, otpFor(h).secret, own);
    },
  },
  "enrol.other-connector": {
    prepare: (h, ec2) => {
      h.do({ command: "connector.create", connector: connectorInput({ name: "lab", groups: [] }) });
      ec2.enrol(h, otpFor(h, "lab").secret);
    },
  },
  "enrol.other-region": { claims: { region: "eu-west-1" } },
  "enrol.other-account": {
    prepare: (h) => {
      const change = { accounts: ["999999999999"] };
      h.do({ command: "connector.update", connector: "prod", change });
    },
  },
  "enrol.other-vpc": {
    prepare: (h) => new Ec2().enrol(h, otpFor(h).secret),
    request: () => ({ vpcId: otherVpc }),
  },
  "enrol.group-full": {
    prepare: (h) => {
      h.do({ command: "connector.update", connector: "prod", change: { mode: "standalone" } });
      new Ec2().enrol(h, otpFor(h).secret);
    },
  },
};

describe("an agent is refused", () => {
  test.each(Object.entries(cases) as [Refusal, Case][])("%s", (code, refusal) => {
    const h = new Harness();
    withConnector(h);
    const ec2 = new Ec2();
    refusal.prepare?.(h, ec2);
    const secret = refusal.otp?.(h) ?? otpFor(h).secret;
    const claims = refusal.claims ?? {};
    if (refusal.verdict !== undefined) h.verdicts.set(JSON.stringify(ec2.claims(claims)), refusal.verdict);
    const before = JSON.stringify(h.store.saved());
    const link = ec2.enrol(h, secret, refusal.request?.(h, ec2), claims);
    expect(h.refusal(link)).toBe(code);
    expect(h.closed.get(link)).toBe("refused");
    expect(JSON.stringify(h.store.saved()), "a refusal changes nothing").toBe(before);
  });

  test("at a VPC that the connector is pinned to, from the first instance on", () => {
    const h = new Harness();
    withConnector(h, { vpc: otherVpc });
    expect(h.refusal(new Ec2().enrol(h, otpFor(h).secret))).toBe("enrol.other-vpc");
  });

  test("as the 65th of an active-active connector, and as the third of an active-standby one", () => {
    for (const [mode, max] of [
      ["active-active", 64],
      ["active-standby", 2],
    ] as const) {
      const h = new Harness();
      withConnector(h, { mode });
      for (let i = 0; i < max; i++) {
        expect(h.refusal(new Ec2().enrol(h, otpFor(h).secret))).toBeUndefined();
      }
      expect(h.refusal(new Ec2().enrol(h, otpFor(h).secret))).toBe("enrol.group-full");
      expect(h.views.connector("prod")).toMatchObject({ instances: max, instancesMax: max });
    }
  });

  test("when its proof is wrong, before its OTP is even looked at", () => {
    const h = new Harness();
    withConnector(h);
    const otp = otpFor(h);
    const link = new Ec2().enrol(h, otp.secret, { signature: "x".repeat(86) });
    expect(h.refusal(link)).toBe("link.proof-wrong");
    expect(h.views.otps()).toMatchObject([{ state: "open" }]);
  });
});

describe("an OTP", () => {
  test("is spent for one key; the same key gets the same identity, also when it expired meanwhile", () => {
    const h = new Harness();
    withConnector(h);
    const { secret } = otpFor(h);
    const ec2 = new Ec2();
    const [first] = h.heard(ec2.enrol(h, secret), "enrolled");
    expect(first?.name).toBe("aws-us-vir-con-00001");
    h.restart();
    h.pass(25 * hourMs);
    const again = ec2.enrol(h, secret);
    expect(h.heard(again, "enrolled")[0]).toEqual(first);
    expect(h.heard(again, "welcome")).toHaveLength(1);
    expect(h.views.instances()).toHaveLength(1);
    expect(h.refusal(new Ec2().enrol(h, secret))).toBe("otp.used");
  });

  test("that an instance shows which is in already is spent like any other", () => {
    const h = new Harness();
    withConnector(h);
    const ec2 = new Ec2();
    const [first] = h.heard(ec2.enrol(h, otpFor(h).secret), "enrolled");
    const second = otpFor(h);
    expect(h.heard(ec2.enrol(h, second.secret), "enrolled")[0]).toEqual(first);
    expect(h.views.otps().find(({ id }) => id === second.id)).toMatchObject({
      state: "used",
      usedBy: first?.name,
    });
    expect(h.store.audit.at(-1)).toMatchObject({ action: "otp.use", subject: `otp/${second.id}` });
    const { commits } = h.store;
    expect(h.heard(ec2.enrol(h, second.secret), "enrolled")[0], "and again").toEqual(first);
    expect(h.store.commits).toBe(commits);
    expect(h.refusal(new Ec2().enrol(h, second.secret))).toBe("otp.used");
  });

  test("does not revive an instance that was removed", () => {
    const h = new Harness();
    withConnector(h);
    const { secret } = otpFor(h);
    const ec2 = new Ec2();
    const link = ec2.enrol(h, secret);
    h.do({ command: "instance.remove", instance: "aws-us-vir-con-00001" });
    expect(h.closed.get(link)).toBe("removed");
    expect(h.refusal(ec2.hello(h))).toBe("link.identity-unknown");
    expect(h.refusal(ec2.enrol(h, secret))).toBe("otp.used");
    const next = ec2.enrol(h, otpFor(h).secret);
    expect(h.heard(next, "enrolled")[0]?.name, "a name is never used again").toBe("aws-us-vir-con-00002");
  });

  test("that two agents present at once is won by one of them", () => {
    const h = new Harness();
    withConnector(h);
    const { secret } = otpFor(h);
    h.isHolding = true;
    const links = [new Ec2(), new Ec2(), new Ec2()].map((ec2) => ec2.enrol(h, secret));
    expect(links.map((link) => h.heard(link, "enrolled").length)).toEqual([0, 0, 0]);
    h.release();
    expect(links.map((link) => h.refusal(link) ?? "enrolled")).toEqual(["enrolled", "otp.used", "otp.used"]);
    expect(h.views.instances()).toHaveLength(1);
  });

  test("is not spent when that could not be stored", () => {
    const h = new Harness();
    withConnector(h);
    const { secret } = otpFor(h);
    const ec2 = new Ec2();
    h.failing = "store.full";
    const link = ec2.enrol(h, secret);
    expect(h.refusal(link)).toBe("store.full");
    expect(h.views.otps()).toMatchObject([{ state: "open" }]);
    h.failing = undefined;
    expect(h.heard(ec2.enrol(h, secret), "enrolled")).toHaveLength(1);
  });

  test("whose spending was stored but never answered, because the controller died, is answered later", () => {
    const h = new Harness();
    withConnector(h);
    const { secret } = otpFor(h);
    const ec2 = new Ec2();
    h.isHolding = true;
    const link = ec2.enrol(h, secret);
    const plan = h.held[0]?.plan;
    if (plan === undefined) throw new Error("nothing was to be stored");
    h.store.commit(plan);
    h.isHolding = false;
    h.restart();
    expect(h.heard(link, "enrolled")).toHaveLength(0);
    expect(h.heard(ec2.enrol(h, secret), "enrolled")[0]?.name).toBe("aws-us-vir-con-00001");
    expect(h.views.instances()).toHaveLength(1);
  });

  test("is nowhere but in the one answer: not in views, store or audit", () => {
    const h = new Harness();
    withConnector(h);
    const { secret } = otpFor(h);
    const { secret: code } = h.do({
      command: "deviceCode.create",
      user: "ada",
      group: "staff",
      lifeMinutes: 1,
    });
    const { secret: token } = h.do({ command: "token.create", name: "ci" });
    const everything = JSON.stringify([
      h.store.saved(),
      h.store.audit,
      h.views.otps(),
      h.views.deviceCodes(),
      h.told,
    ]);
    for (const text of [secret, code, token]) expect(everything).not.toContain(text);
    const hashes = h.store.saved().otp.map(({ hash }) => hash);
    for (const hash of hashes) expect(JSON.stringify(h.store.audit)).not.toContain(hash);
  });
});

test("instances of a region without a short name are named after the region itself", () => {
  const h = new Harness();
  withConnector(h, { region: "xx-moon-7" });
  const link = new Ec2().enrol(h, otpFor(h).secret, {}, { region: "xx-moon-7" });
  expect(h.heard(link, "enrolled")[0]?.name).toBe("aws-xx-moon-7-con-00001");
});
