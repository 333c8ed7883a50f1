import { describe, expect, test } from "vitest";
import { Probe } from "../../device/core/probe.ts";
import { Random } from "../sim/random.ts";
import { ProbedPath } from "./probe-path.ts";

const at = (ms: number) => ({ monotonicMs: ms, wallMs: ms });
const hourMs = 3_600_000;

describe("what it costs", () => {
  test("nothing is asked while traffic comes back", () => {
    const path = new ProbedPath();
    path.like.trafficEveryMs = 20;
    path.run(60_000);
    expect(path.questions).toBe(1);
    expect(path.verdicts).toEqual(["alive"]);
    expect(path.readings).toBeLessThan(215);
  });

  test("a path without traffic is asked every two seconds, and looked at every second", () => {
    const path = new ProbedPath().run(60_000);
    expect(path.questions).toBeLessThanOrEqual(31);
    expect(path.readings).toBeLessThanOrEqual(92);
  });

  test("traffic that goes one way is asked for each second", () => {
    const path = new ProbedPath();
    Object.assign(path.like, { trafficEveryMs: 20, isAnswered: false });
    path.run(60_000);
    expect(path.questions).toBeLessThanOrEqual(61);
    expect(path.verdicts).toEqual(["alive"]);
  });
});

describe("a path that dies", () => {
  /** How long until it is told, wherever in the probe's rhythm it dies. */
  function deadAfterMs(like: Partial<ProbedPath["like"]>): number[] {
    return Array.from({ length: 200 }, (_, i) => {
      const path = new ProbedPath(i);
      Object.assign(path.like, like);
      path.run(20_000 + i * 11);
      const diedAtMs = path.nowMs;
      path.like.isDead = true;
      path.run(20_000);
      expect(path.verdicts).toEqual(["alive", "dead"]);
      return (path.told[1]?.atMs ?? Number.POSITIVE_INFINITY) - diedAtMs;
    });
  }

  test.each([
    ["with a request every 20 ms", { trafficEveryMs: 20 }, 700, 1_150],
    ["with a request every 50 ms, 5 % lost each way", { trafficEveryMs: 50, lossRatio: 0.1 }, 700, 4_500],
    ["with a request every 300 ms", { trafficEveryMs: 300 }, 1_000, 1_800],
    ["with a request every 3 s", { trafficEveryMs: 3_000 }, 1_000, 3_000],
    ["without traffic", {}, 1_000, 3_100],
    ["far away, with traffic", { trafficEveryMs: 20, rttMs: 300 }, 1_000, 2_300],
  ])("%s", (_name, like, notBeforeMs, withinMs) => {
    const times = deadAfterMs(like).toSorted((a, b) => a - b);
    console.log(`${_name}: dead after ${times[100]?.toFixed(0)} ms, at most ${times.at(-1)?.toFixed(0)} ms`);
    expect(times.at(-1)).toBeLessThanOrEqual(withinMs);
    // Not before a question was asked for the whole of its time.
    expect(times[0]).toBeGreaterThanOrEqual(notBeforeMs);
  });

  test("that never was: dead after two seconds and more, once", () => {
    const path = new ProbedPath();
    // The first question is on its way when it dies.
    path.like.isDead = true;
    path.run(60_000);
    expect(path.verdicts).toEqual(["dead"]);
    expect(path.told[0]?.atMs).toBeGreaterThanOrEqual(2_000);
    expect(path.told[0]?.atMs).toBeLessThan(3_000);
  });

  test("is alive again when it answers, and found dead as soon as before the next time", () => {
    const path = new ProbedPath();
    path.like.trafficEveryMs = 20;
    path.run(10_000);
    path.like.isDead = true;
    path.run(30_000);
    path.like.isDead = false;
    path.run(5_000);
    expect(path.verdicts).toEqual(["alive", "dead", "alive"]);
    path.like.isDead = true;
    path.run(1_150);
    expect(path.verdicts).toEqual(["alive", "dead", "alive", "dead"]);
  });

  test("whose first answer waited for a handshake is found dead as soon as others", () => {
    const path = new ProbedPath();
    Object.assign(path.like, { trafficEveryMs: 20, rttMs: 350 });
    path.run(360);
    path.like.rttMs = 20;
    path.run(5_000);
    expect(path.questions).toBe(2);
    path.like.isDead = true;
    path.run(1_150);
    expect(path.verdicts).toEqual(["alive", "dead"]);
  });

  test("while only echoes are filtered, traffic that comes back is life", () => {
    const path = new ProbedPath();
    Object.assign(path.like, { trafficEveryMs: 600, isMute: true });
    path.run(600_000);
    expect(path.verdicts).toEqual(["alive"]);
  });
});

describe("a bad path is no dead one", () => {
  /** Hours of false alarms: seeds × hours. */
  function falseAlarms(like: Partial<ProbedPath["like"]>, seeds: number, ms: number): number {
    let alarms = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      const path = new ProbedPath(seed);
      Object.assign(path.like, like);
      path.run(ms);
      alarms += path.verdicts.filter((verdict) => verdict === "dead").length;
    }
    return alarms;
  }

  test.each([
    ["a fifth lost, 300 ms away, no traffic", { lossRatio: 0.2, rttMs: 300 }],
    ["a fifth lost, 300 ms away, a request a second", { lossRatio: 0.2, rttMs: 300, trafficEveryMs: 1_000 }],
    ["a fifth lost each way, no traffic", { lossRatio: 0.36, rttMs: 40 }],
    ["a second away", { rttMs: 950 }],
    ["a second away, a request a second", { rttMs: 950, trafficEveryMs: 1_000 }],
    ["5 % lost each way, up to 90 ms late, no traffic", { lossRatio: 0.1, jitterMs: 90 }],
    ["the same, a request a second", { lossRatio: 0.1, jitterMs: 90, trafficEveryMs: 1_000 }],
    ["the same, a request every 300 ms", { lossRatio: 0.1, jitterMs: 90, trafficEveryMs: 300 }],
    ["the same, a request every 20 ms", { lossRatio: 0.1, jitterMs: 90, trafficEveryMs: 20 }],
    [
      "5 % lost each way, up to 200 ms late, a request every 20 ms",
      { lossRatio: 0.1, jitterMs: 200, trafficEveryMs: 20 },
    ],
    [
      "5 % lost each way, up to 200 ms late, a request a second",
      { lossRatio: 0.1, jitterMs: 200, trafficEveryMs: 1_000 },
    ],
  ])("%s: not one alarm in ten hours", (_name, like) => {
    expect(falseAlarms(like, 10, hourMs)).toBe(0);
  });

  test("a fifth lost each way and 300 ms away: an alarm an hour at most", () => {
    expect(falseAlarms({ lossRatio: 0.36, rttMs: 300 }, 10, hourMs)).toBeLessThanOrEqual(10);
  });

  test("standstills of 0.6 s under traffic, one a minute: no alarm", () => {
    const path = new ProbedPath(3);
    path.like.trafficEveryMs = 20;
    for (let minute = 0; minute < 60; minute++) {
      path.like.isDead = false;
      path.run(59_000 + minute * 17);
      path.like.isDead = true;
      path.run(600);
    }
    expect(path.verdicts).toEqual(["alive"]);
  });

  test("answers that take longer than a question lead to one alarm at most", () => {
    expect(falseAlarms({ rttMs: 1_300 }, 1, hourMs)).toBeLessThanOrEqual(1);
  });

  test("a host that gets to everything up to 900 ms late", () => {
    const random = new Random(7);
    const lateMs = () => random.next() ** 2 * 900;
    expect(falseAlarms({ lateMs, trafficEveryMs: 50 }, 5, hourMs)).toBe(0);
    expect(falseAlarms({ lateMs }, 5, hourMs)).toBe(0);
  });
});

test("a host that was asleep has no opinion", () => {
  const path = new ProbedPath().run(5_000);
  path.nowMs += hourMs;
  // Its own network needs a moment to be there again.
  path.like.isDead = true;
  path.run(900);
  path.like.isDead = false;
  path.run(5_000);
  expect(path.verdicts).toEqual(["alive"]);
});

test("an echo that could not be sent says nothing about the path", () => {
  const path = new ProbedPath().run(5_000);
  path.like.isUnable = true;
  path.run(60_000);
  expect(path.verdicts).toEqual(["alive"]);
  expect(path.questions).toBeLessThan(70);
});

test("a host that cannot ask finds its path dead when nothing comes back for as long as WireGuard would wait", () => {
  const path = new ProbedPath();
  path.like.trafficEveryMs = 500;
  path.run(5_000);
  path.like.isUnable = true;
  path.run(120_000);
  expect(path.verdicts, "traffic comes back").toEqual(["alive"]);
  path.like.isDead = true;
  path.run(25_000);
  expect(path.verdicts).toEqual(["alive"]);
  path.run(10_000);
  expect(path.verdicts).toEqual(["alive", "dead"]);
  path.like.isDead = false;
  path.run(2_000);
  expect(path.verdicts).toEqual(["alive", "dead", "alive"]);
});

test("a question that comes back at once is not repeated at once", () => {
  const probe = new Probe();
  let nowMs = 0;
  let asked = 0;
  const post = (input: Parameters<Probe["handle"]>[0]): void => {
    for (const effect of probe.handle(input, at(nowMs))) {
      if (effect.do === "count") post({ kind: "counted", effectId: effect.effectId, counters: undefined });
      if (effect.do !== "ask") continue;
      asked += 1;
      post({ kind: "echoed", effectId: effect.effectId, echo: { is: "silent" } });
    }
  };
  post({ kind: "watch", path: "s/1" });
  for (; nowMs < 10_000; nowMs += 10) post({ kind: "tick" });
  expect(asked).toBeLessThan(40);
});

test("answers about an earlier path are not about this one", () => {
  const probe = new Probe();
  const [first] = probe.handle({ kind: "watch", path: "s/1" }, at(0));
  expect(first).toMatchObject({ do: "count" });
  probe.handle({ kind: "watch", path: "s/2" }, at(10));
  const effectId = first?.do === "count" ? first.effectId : 0;
  const late = { kind: "counted", effectId, counters: { rxBytes: 5, txBytes: 5 } } as const;
  expect(probe.handle(late, at(20))).toEqual([]);
  expect(probe.handle({ kind: "watch", path: undefined }, at(30))).toEqual([]);
  expect(probe.nextDeadline()).toBeUndefined();
});
