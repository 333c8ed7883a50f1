import { describe, expect, test } from "vitest";
import { FakeAgent } from "./fakes.ts";
import { Harness } from "./harness.ts";
import {
  activeInstance,
  attachedDevice,
  Ec2,
  helloDevice,
  join,
  key,
  otpFor,
  withConnector,
} from "./peers.ts";

function enrolled(h = new Harness()) {
  withConnector(h);
  const ec2 = new Ec2();
  const link = ec2.enrol(h, otpFor(h).secret);
  return { h, ec2, link };
}

describe("a link", () => {
  test("begins with a challenge of its own", () => {
    const h = new Harness();
    const [first, second] = [h.connect(), h.connect()].map((link) => h.heard(link, "challenge")[0]);
    expect(first).toMatchObject({
      version: 1,
      minimumVersion: 1,
      controller: h.store.controllerId,
      wallMs: h.wallMs,
    });
    expect(first?.nonce).not.toBe(second?.nonce);
  });

  test("is welcome after hello, with the heartbeat of its role", () => {
    const { h, ec2 } = enrolled(new Harness({ heartbeatMs: { agent: 5_000, device: 20_000 } }));
    const link = ec2.hello(h);
    expect(h.heard(link, "welcome")).toEqual([
      { type: "welcome", version: 1, heartbeatMs: 5_000, silentMs: 15_000, name: "aws-us-vir-con-00001" },
    ]);
    const { secret } = h.do({ command: "deviceCode.create", user: "ada", group: "staff", lifeMinutes: 1 });
    expect(h.heard(join(h, secret).link, "welcome")).toMatchObject([
      { heartbeatMs: 20_000, silentMs: 60_000, returnWithinMs: 0 },
    ]);
  });

  test("of an unknown identity is refused", () => {
    const h = new Harness();
    expect(h.refusal(new Ec2().hello(h))).toBe("link.identity-unknown");
    expect(h.refusal(helloDevice(h, key()))).toBe("link.identity-unknown");
  });

  test("with a wrong proof is refused", () => {
    const { h, ec2 } = enrolled();
    expect(h.refusal(ec2.hello(h, { signature: "x".repeat(86) }))).toBe("link.proof-wrong");
  });

  test("of a newer version is spoken to in ours, or refused when it no longer speaks ours", () => {
    const { h, ec2 } = enrolled();
    expect(h.heard(ec2.hello(h, { version: 7, minimumVersion: 1 }), "welcome")).toMatchObject([
      { version: 1 },
    ]);
    const link = ec2.hello(h, { version: 7, minimumVersion: 2 });
    expect(h.refusal(link)).toBe("protocol.version");
    expect(h.closed.get(link)).toBe("version");
  });

  test("that proves an identity again replaces the one before", () => {
    const { h, ec2, link } = enrolled();
    const second = ec2.hello(h);
    expect(h.closed.get(link)).toBe("superseded");
    h.post({ kind: "disconnected", link });
    expect(h.views.instances()[0]?.status, "the end of the old link is not the end of the new one").toBe(
      "Online",
    );
    expect(h.closed.has(second)).toBe(false);
    expect(h.core.metricsFacts().links).toEqual({ agents: 1, devices: 0, strangers: 0 });
  });

  test("that says nothing is cut: ten seconds before the proof, three heartbeats after it", () => {
    const { h, link } = enrolled();
    const stranger = h.connect();
    h.pass(9_900);
    expect(h.closed.has(stranger)).toBe(false);
    h.pass(1_200);
    expect(h.closed.get(stranger)).toBe("proofLate");
    expect(h.closed.has(link)).toBe(false);
    h.pass(5_000);
    expect(h.closed.get(link)).toBe("silent");
    expect(h.views.instances()[0]?.status).toBe("Offline");
  });

  test("that pings is answered and lives", () => {
    const { h, link } = enrolled();
    for (let id = 1; id <= 10; id++) {
      h.pass(5_000);
      h.say(link, { type: "ping", id });
    }
    expect(h.heard(link, "pong").map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(h.closed.has(link)).toBe(false);
  });

  test.each([
    ["state before the proof", (h: Harness) => [h.connect(), { type: "ping", id: 1 }] as const],
    ["hello on an open link", (h: Harness) => [enrolled(h).link, hello()] as const],
  ])("with a message out of order is cut: %s", (_what, prepare) => {
    const h = new Harness();
    const [link, message] = prepare(h);
    h.say(link, message);
    expect(h.closed.get(link)).toBe("malformed");
    expect(h.core.metricsFacts().totals.refused).toMatchObject({ "protocol.out-of-order": 1 });
  });

  test("with an unreadable frame is cut; one of unknown type is counted", () => {
    const { h, link } = enrolled();
    h.post({ kind: "unknown", link });
    expect(h.closed.has(link)).toBe(false);
    expect(h.core.metricsFacts().totals.unknownMessages).toBe(1);
    h.post({ kind: "unreadable", link, why: "protocol.too-deep" });
    expect(h.closed.get(link)).toBe("malformed");
  });

  test("with an entry of a wrong shape is refused with what is wrong; an entry of unknown kind is ignored", () => {
    const { h, link } = enrolled();
    const agent = new FakeAgent(h).on(link);
    agent.report({ "weather/today": { sun: true } });
    expect(h.closed.has(link)).toBe(false);
    agent.report({ "pool/Pool1": { total: -1 } });
    expect(h.refusal(link)).toBe("protocol.malformed");
    expect(h.heard(link, "refused")[0]?.text).toContain("pool/Pool1");
  });

  test("with a change that builds on one never seen is asked for a snapshot", () => {
    const { h, link } = enrolled();
    h.say(link, { type: "state", from: 5, to: 6, part: 0, last: true, set: [], remove: [] });
    expect(h.heard(link, "resync")).toHaveLength(1);
  });

  test("gets its state again when it does not acknowledge", () => {
    const { h, link } = enrolled();
    expect(h.heard(link, "state")).toHaveLength(1);
    for (let i = 0; i < 3; i++) {
      h.pass(4_000);
      h.say(link, { type: "ping", id: i });
    }
    const states = h.heard(link, "state");
    expect(states).toHaveLength(2);
    expect(states.map(({ set }) => set)).toEqual([states[0]?.set, states[0]?.set]);
  });

  test("gets a change again in time, also one that comes when its link was quiet for long", () => {
    const h = new Harness();
    withConnector(h);
    activeInstance(h);
    const { link } = attachedDevice(h);
    h.pass(30_000);
    const before = h.heard(link, "state").length;
    h.onMessage.delete(link);
    h.do({ command: "connector.update", connector: "prod", change: { dns: { primary: "10.0.0.3" } } });
    expect(h.heard(link, "state")).toHaveLength(before + 1);
    h.pass(11_000);
    expect(h.heard(link, "state")).toHaveLength(before + 2);
  });

  test("is not told about its own grants", () => {
    const h = new Harness();
    withConnector(h);
    const { agent } = activeInstance(h);
    const before = h.heard(agent.link, "state").length;
    attachedDevice(h);
    expect(agent.sessions).toBe(1);
    expect(h.heard(agent.link, "state"), "the placement, and nothing after the grant").toHaveLength(
      before + 1,
    );
  });

  test("finds room though strangers who prove nothing hold all of it: the oldest of them goes", () => {
    const h = new Harness({ strangersMax: 2 });
    withConnector(h);
    const ec2 = new Ec2();
    const { secret } = otpFor(h);
    const idle = [h.connect(), h.connect()];
    const link = ec2.enrol(h, secret);
    expect(h.heard(link, "welcome")).toHaveLength(1);
    expect(idle.map((stranger) => h.refusal(stranger))).toEqual(["link.throttled", undefined]);
    for (let i = 0; i < 100; i++) h.connect();
    expect(h.core.metricsFacts().links).toEqual({ agents: 1, devices: 0, strangers: 2 });
  });

  test("is turned away with a time to come back when all that are there wait for the store", () => {
    const h = new Harness({ strangersMax: 2, retryAfterMs: 7_000 });
    withConnector(h);
    const { secret } = otpFor(h);
    h.isHolding = true;
    const waiting = [new Ec2().enrol(h, secret), new Ec2().enrol(h, secret)];
    const link = h.connect();
    expect(h.heard(link, "refused")).toMatchObject([{ code: "link.throttled", retryAfterMs: 7_000 }]);
    expect(h.heard(link, "challenge")).toEqual([]);
    expect(h.closed.get(link)).toBe("refused");
    expect(waiting.filter((one) => h.closed.has(one))).toEqual([]);
  });

  test("is told when the controller stops", () => {
    const { h, link } = enrolled();
    const stranger = h.connect();
    h.post({ kind: "stop" });
    expect([h.closed.get(link), h.closed.get(stranger)]).toEqual(["restarting", "restarting"]);
  });
});

function hello() {
  return {
    type: "hello",
    role: "agent",
    version: 1,
    minimumVersion: 1,
    identityKey: key(),
    signature: "s".repeat(86),
    software: "1",
    wallMs: 0,
    wireguardKey: key(),
  } as const;
}

describe("a device", () => {
  test.each([
    ["code.unknown", (_h: Harness, code: string) => code.replace(/.$/, "!")],
    [
      "code.used",
      (h: Harness, code: string) => {
        join(h, code);
        return code;
      },
    ],
    [
      "code.expired",
      (h: Harness, code: string) => {
        h.pass(60_000);
        return code;
      },
    ],
    [
      "code.revoked",
      (h: Harness, code: string) => {
        h.do({ command: "deviceCode.revoke", deviceCode: h.views.deviceCodes()[0]?.id ?? "" });
        return code;
      },
    ],
  ])("is refused: %s", (why, prepare) => {
    const h = new Harness();
    h.do({ command: "group.create", group: "staff" });
    const { secret } = h.do({ command: "deviceCode.create", user: "ada", group: "staff", lifeMinutes: 1 });
    expect(h.refusal(join(h, prepare(h, secret)).link)).toBe(why);
  });

  test("that asks again with its key is the same device, and no other user's", () => {
    const h = new Harness();
    h.do({ command: "group.create", group: "staff" });
    const code = (user: string) =>
      h.do({ command: "deviceCode.create", user, group: "staff", lifeMinutes: 1 }).secret;
    const first = code("ada");
    const { link, identityKey } = join(h, first);
    h.pass(120_000);
    const again = join(h, first, { identityKey }).link;
    expect(h.heard(again, "joined")).toEqual(h.heard(link, "joined"));
    expect(h.refusal(join(h, code("bob"), { identityKey }).link)).toBe("code.other-user");
    expect(h.views.devices()).toHaveLength(1);
  });

  test("that is in already spends the code that it shows", () => {
    const h = new Harness();
    h.do({ command: "group.create", group: "staff" });
    const code = () =>
      h.do({ command: "deviceCode.create", user: "ada", group: "staff", lifeMinutes: 1 }).secret;
    const { link, identityKey } = join(h, code());
    const second = code();
    const again = join(h, second, { identityKey }).link;
    expect(h.heard(again, "joined")).toEqual(h.heard(link, "joined"));
    expect(h.refusal(join(h, second).link)).toBe("code.used");
    expect(JSON.stringify(h.store.audit)).not.toContain(h.store.saved().deviceCode[0]?.hash);
  });

  test("has a WireGuard key of its own: with another's, an instance could not tell the two apart", () => {
    const h = new Harness();
    h.do({ command: "group.create", group: "staff" });
    const code = (user: string) =>
      h.do({ command: "deviceCode.create", user, group: "staff", lifeMinutes: 1 }).secret;
    const wireguardKey = key();
    const owner = join(h, code("ada"), { wireguardKey });
    const kept = code("eve");
    expect(h.refusal(join(h, kept, { wireguardKey }).link)).toBe("link.wireguard-key-in-use");
    expect(h.views.deviceCodes().map(({ state }) => state)).toEqual(["used", "open"]);
    const thief = join(h, kept);
    expect(h.refusal(helloDevice(h, thief.identityKey, wireguardKey))).toBe("link.wireguard-key-in-use");
    expect(h.refusal(helloDevice(h, owner.identityKey, wireguardKey))).toBeUndefined();
    h.do({ command: "device.remove", device: h.views.devices()[0]?.id ?? "" });
    expect(h.refusal(helloDevice(h, thief.identityKey, wireguardKey))).toBeUndefined();
  });

  test("with a new WireGuard key is known by it to its instance at once", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, addresses } = activeInstance(h);
    const { identityKey, id } = attachedDevice(h);
    const session = h.views.device(id)?.session?.id;
    const before = agent.desired.get(`session/${session}`);
    helloDevice(h, identityKey);
    const after = agent.desired.get(`session/${session}`);
    expect(after).toMatchObject({ epoch: 1, granted: { ipv4: addresses[0] } });
    expect(after).not.toMatchObject({ wireguardKey: (before as { wireguardKey: string }).wireguardKey });
  });
});
