import { expect, test } from "vitest";
import type { SessionTraffic } from "../../agent/core/ports.ts";
import { Traffic } from "../../agent/core/traffic.ts";
import { failed, success } from "../../protocol/failures.ts";
import { at } from "./fixture.ts";

const silent: SessionTraffic = {
  rxBytes: 0,
  txBytes: 0,
  heardAtMs: undefined,
  handshakeAtMs: undefined,
  endpoint: undefined,
};

test("is read every 2 s, one reading at a time, and an answer that comes twice counts once", () => {
  const traffic = new Traffic();
  const readings = (ms: number) => traffic.next(at(ms)).map(({ effectId }) => effectId);
  const [first = 0] = readings(0);
  expect(readings(60_000)).toEqual([]);
  expect(traffic.read(first, success(new Map()), at(1))).toEqual({
    is: "known",
    sessions: [],
    throughMs: 0,
  });
  expect(traffic.read(first, success(new Map()), at(1))).toBeUndefined();
  expect(readings(2_000)).toEqual([]);
  const [second = 0] = readings(2_001);
  // What came while it was being read may be missing from it.
  expect(traffic.read(second, success(new Map()), at(2_900))).toMatchObject({ throughMs: 2_001 });
});

test("active is who was heard in the last 180 s", () => {
  const traffic = new Traffic();
  const [{ effectId } = { effectId: 0 }] = traffic.next(at(1_000_000));
  const heard = (agoMs: number) => ({ ...silent, heardAtMs: 1_000_000 - agoMs });
  const reading = new Map([
    ["now", heard(0)],
    ["late", heard(180_000)],
    ["gone", heard(180_001)],
    ["never", silent],
  ]);
  expect(traffic.read(effectId, success(reading), at(1_000_000))).toMatchObject({
    is: "known",
    sessions: [
      ["now", 1_000_000],
      ["late", 820_000],
      ["gone", 819_999],
    ],
  });
  expect(traffic.activeAgents).toBe(2);
});

test("that nobody was ever heard is told: what lets no device in looks like this from here", () => {
  const traffic = new Traffic();
  const problems = (...sessions: readonly SessionTraffic[]) => {
    const nowMs = traffic.nextDeadline() ?? 0;
    const [{ effectId } = { effectId: 0 }] = traffic.next(at(nowMs));
    traffic.read(effectId, success(new Map(sessions.map((one, i) => [`${i}`, one]))), at(nowMs));
    return traffic.problems();
  };
  expect(traffic.problems()).toEqual([]);
  expect(problems()).toEqual([]);
  expect(problems(silent, silent)).toEqual([{ code: "datapath.unheard", facts: { sessions: 2 } }]);
  expect(problems(silent, { ...silent, heardAtMs: 0 })).toEqual([]);
  expect(problems()).toEqual([]);
});

test("a reading that fails keeps what was known, and says so", () => {
  const traffic = new Traffic();
  const [{ effectId: first } = { effectId: 0 }] = traffic.next(at(0));
  traffic.read(first, success(new Map([["one", { ...silent, rxBytes: 7, heardAtMs: 0 }]])), at(0));
  const [{ effectId: second } = { effectId: 0 }] = traffic.next(at(5_000));
  const result = failed("datapath.failing", { command: "wg show" });
  expect(traffic.read(second, result, at(5_000))).toEqual({ is: "unknown", spareUntilMs: 65_000 });
  expect(traffic.activeAgents).toBe(1);
  expect(traffic.of("one")?.rxBytes).toBe(7);
  expect(traffic.problems()).toEqual([{ code: "datapath.unreadable", facts: { command: "wg show" } }]);
});
