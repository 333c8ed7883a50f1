import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { HandshakeRate } from "../../controller/adapters/handshake-rate.ts";
import { Pipeline } from "../../controller/core/pipeline.ts";
import type { Plan } from "../../controller/core/rows.ts";
import { put } from "../../controller/core/rows.ts";
import {
  type CoreSettings,
  coreDefaults,
  failoverBounds,
  settingsFrom,
} from "../../controller/core/settings.ts";
import type { Failure } from "../../protocol/failures.ts";
import { success } from "../../protocol/failures.ts";
import { linkDefaults } from "../../protocol/link.ts";
import { until } from "../support/until.ts";
import { FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import { activeInstance, Ec2, join, key, withConnector } from "./peers.ts";

describe("what waits for the store", () => {
  test("does not grow with what instances report while a write hangs", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, ec2 } = activeInstance(h);
    h.isHolding = true;
    for (let i = 0; i < 100; i++) agent.become("Active", {}, Object.assign(new Ec2(), { ip: `10.0.0.${i}` }));
    expect(h.core.metricsFacts().queued).toBeLessThanOrEqual(2);
    agent.become("Active", {}, ec2);
    h.release();
    h.pass(2_000);
    expect(h.store.saved().instance).toMatchObject([{ endpoint: `${ec2.ip}:51820` }]);
  });

  test("is forgotten when it is decided, also when the queue never runs empty", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const waiting: number[] = [];
    const plan: Plan = { changes: [put("group", { name: "staff", createdAtMs: 1 })], audit: [] };
    let numbers = 0;
    const pipeline = new Pipeline({
      jobsMax: 10,
      store: () => {
        waiting.push(++numbers);
        return numbers;
      },
      apply: () => {},
    });
    const decided: WeakRef<object>[] = [];
    const add = () => {
      const held = { text: "x".repeat(1_000) };
      decided.push(new WeakRef(held));
      const done = () => void held.text;
      pipeline.add({ decide: () => success({ plan, done }), failed: done });
      pipeline.run();
    };
    add();
    for (let i = 0; i < 5_000; i++) {
      add();
      pipeline.stored(waiting.shift() ?? 0);
    }
    expect(pipeline.length).toBe(1);
    decided.splice(-2_100);
    // What was made in this turn is held until it ends, and one of them for as long as V8 compiles its function beside us.
    await until("all to be forgotten", () => {
      collect();
      return decided.every((ref) => ref.deref() === undefined);
    });
  });
});

describe("a device", () => {
  const joined = () => {
    const h = new Harness();
    h.do({ command: "group.create", group: "staff" });
    const { secret } = h.do({ command: "deviceCode.create", user: "ada", group: "staff", lifeMinutes: 1 });
    return { h, link: join(h, secret).link };
  };
  const many = (count: number) =>
    Array.from({ length: count }, (_, i): [string, unknown] => [`weather/${i}`, { sun: true }]);

  test("may not make the controller keep more than a device has to say", () => {
    const { h, link } = joined();
    h.say(link, { type: "state", from: 0, to: 1, part: 0, last: false, set: many(100), remove: [] });
    expect(h.closed.get(link)).toBe("malformed");
    expect(h.core.metricsFacts().totals.refused["protocol.too-large"]).toBe(1);
  });

  test("that says everything in very many parts is cut before they are many", () => {
    const { h, link } = joined();
    for (let part = 0; part < 10 && !h.closed.has(link); part++) {
      h.say(link, { type: "state", from: 0, to: 1, part, last: false, set: many(1), remove: [] });
    }
    expect(h.closed.get(link)).toBe("malformed");
  });

  test("may know a few kinds of entry that we do not", () => {
    const { h, link } = joined();
    const device = new FakeDevice(h).on(link);
    device.report(Object.fromEntries(many(20)));
    expect(h.closed.has(link)).toBe(false);
  });
});

describe("a key", () => {
  test("has one spelling: the unused bits of its last letter are zero", () => {
    const h = new Harness();
    withConnector(h);
    const { ec2 } = activeInstance(h);
    const other = (text: string) => {
      const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
      return text.slice(0, -1) + letters[letters.indexOf(text.at(-1) ?? "") + 1];
    };
    expect(Buffer.from(other(ec2.identityKey), "base64url")).toEqual(
      Buffer.from(ec2.identityKey, "base64url"),
    );
    const twin = Object.assign(new Ec2(), { identityKey: other(ec2.identityKey) });
    expect(h.refusal(twin.hello(h))).toBe("protocol.malformed");
    const { secret } = h.do({ command: "deviceCode.create", user: "ada", group: "staff", lifeMinutes: 1 });
    expect(h.refusal(join(h, secret, { wireguardKey: other(key()) }).link)).toBe("protocol.malformed");
    expect(h.refusal(join(h, secret).link)).toBeUndefined();
  });
});

describe("the setting silentHeartbeats", () => {
  test.each([1, 0, -3, 11, 2.5, Number.NaN, Number.POSITIVE_INFINITY])("cannot be %s", (silentHeartbeats) => {
    expect(settingsFrom({ silentHeartbeats })).toMatchObject({
      ok: false,
      failure: { code: "admin.invalid", facts: { field: "silentHeartbeats" } },
    });
  });

  test.each([2, 3, 10])("can be %s", (silentHeartbeats) => {
    const chosen = { silentHeartbeats, returnGraceMs: 60_000 };
    expect(settingsFrom(chosen)).toMatchObject({ ok: true, value: { silentHeartbeats } });
  });
});

describe("what decides when sessions are moved", () => {
  test.each(Object.entries(failoverBounds))("%s has bounds", (field, { min, max }) => {
    // Beside others that do not contradict it.
    const heartbeatMs = { agent: 100, device: 100 };
    const low = { heartbeatMs, linkGraceMs: 500, pathGraceMs: 200 };
    const high = { heartbeatMs, returnGraceMs: 600_000, holdDownMs: 600_000 };
    expect(settingsFrom({ ...low, [field]: min })).toMatchObject({ ok: true });
    expect(settingsFrom({ ...high, [field]: max })).toMatchObject({ ok: true });
    for (const bad of [min - 1, max + 1, min + 0.5, Number.NaN]) {
      expect(settingsFrom({ [field]: bad })).toMatchObject({
        failure: { code: "admin.invalid", facts: { field } },
      });
    }
  });
});

describe("settings that make no sense beside each other are refused", () => {
  test.each<[string, Partial<CoreSettings>, string, string]>([
    [
      "a return faster than a restart",
      { linkGraceMs: 40_000 },
      "returnGraceMs",
      "less than linkGraceMs, 40000",
    ],
    [
      "a return before an agent knows that it was away",
      { heartbeatMs: { agent: 20_000, device: 20_000 } },
      "returnGraceMs",
      "less than 60000",
    ],
    [
      "a hold-down shorter than one device waits",
      { pathGraceMs: 10_000, holdDownMs: 5_000 },
      "holdDownMs",
      "less than pathGraceMs, 10000",
    ],
  ])("%s", (_, chosen, field, problem) => {
    const { ok, failure } = settingsFrom(chosen) as { ok: false; failure: Failure };
    expect(ok).toBe(false);
    expect(failure.facts.field).toBe(field);
    expect(failure.facts.problem).toContain(problem);
  });

  test("and what lies on the edge is not", () => {
    expect(settingsFrom({ linkGraceMs: 35_000 })).toMatchObject({ ok: true });
    expect(settingsFrom({ pathGraceMs: 5_000, holdDownMs: 5_000 })).toMatchObject({ ok: true });
    expect(coreDefaults.returnGraceMs).toBeGreaterThanOrEqual(linkDefaults.backoffMaxMs);
  });
});

describe("the rate of links", () => {
  test("is one network's where a host has a whole network of addresses", () => {
    const rate = new HandshakeRate({ perSecond: 1, burst: 2 });
    const refused = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:DB8:1:2:a:b:c:d", "2001:db8:1:3::1"].map(
      (address) => rate.refusal(address, 0)?.waitSeconds,
    );
    expect(refused).toEqual([undefined, undefined, 1, undefined]);
  });

  test("is each address's in IPv4, however it is written", () => {
    const rate = new HandshakeRate({ perSecond: 1, burst: 1 });
    const refused = ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.3"].map(
      (address) => rate.refusal(address, 0)?.waitSeconds,
    );
    expect(refused).toEqual([undefined, 1, undefined, undefined]);
  });

  test("is told once for a row of refusals, so that a log cannot be filled with them", () => {
    const rate = new HandshakeRate({ perSecond: 1, burst: 1 });
    const told = (atMs: number) => rate.refusal("192.0.2.1", atMs)?.isFirst;
    expect([0, 0, 0, 100].map(told)).toEqual([undefined, true, false, false]);
    expect([1_000, 1_000, 1_001].map(told), "and anew for the next row").toEqual([undefined, true, false]);
  });
});
