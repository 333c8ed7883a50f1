import { describe, expect, test } from "vitest";
import { faults } from "../../lab/chaos/faults.ts";
import { Gaps, median } from "../../lab/chaos/gaps.ts";
import type { Heed } from "../../lab/chaos/load.ts";
import { calmText, isAsExpected, progressText, reportText } from "../../lab/chaos/report.ts";
import type { Ran } from "../../lab/chaos/run.ts";
import { judge, type Place, type Seen } from "../../lab/chaos/verdict.ts";

describe("gaps", () => {
  test("the longest time between answers, and when it began", () => {
    const gaps = new Gaps();
    gaps.answered([100, 120, 140]);
    gaps.answered([400, 420]);
    expect(gaps.longest(430)).toEqual({ ms: 260, fromMs: 140 });
  });

  test("one that still lasts counts for as long as it does", () => {
    const gaps = new Gaps();
    gaps.answered([100, 120]);
    expect(gaps.longest(4_120)).toEqual({ ms: 4_000, fromMs: 120 });
    gaps.answered([4_200]);
    expect(gaps.longest(4_210)).toEqual({ ms: 4_080, fromMs: 120 });
  });

  test("a restart forgets what was, and not the gap in which it falls", () => {
    const gaps = new Gaps();
    gaps.answered([0, 500, 520]);
    gaps.restart();
    expect(gaps.longest(540)).toEqual({ ms: 20, fromMs: 520 });
    gaps.answered([820]);
    expect(gaps.longest(820)).toEqual({ ms: 300, fromMs: 520 });
  });

  test("who was never answered is silent for ever", () => {
    const gaps = new Gaps();
    expect(gaps.silentMs(1_000)).toBe(Number.POSITIVE_INFINITY);
    gaps.answered([900]);
    expect(gaps.silentMs(1_000)).toBe(100);
  });

  test.each([
    [[], undefined],
    [[3], 3],
    [[9, 1, 2], 2],
    [[4, 1, 2, 9], 3],
  ])("the median of %j is %s", (values, middle) => {
    expect(median(values)).toBe(middle);
  });
});

const at = (instance: string, epoch = 1, session = "s"): Place => ({ session, epoch, instance });
const heed = (device: string, ms: number, lateMs = 5): Heed => ({
  device,
  gap: { ms, fromMs: 0 },
  lateMs,
  answered: 50,
  unanswered: 0,
});

/** ana and bruno at one, chen at two; nothing happens. */
const still: Seen = {
  expects: { moves: "nobody", withinMs: 100 },
  instance: "one",
  before: new Map([
    ["ana", at("one")],
    ["bruno", at("one")],
    ["chen", at("two")],
  ]),
  after: new Map([
    ["ana", at("one")],
    ["bruno", at("one")],
    ["chen", at("two")],
  ]),
  heeds: [heed("ana", 40), heed("bruno", 60), heed("chen", 30)],
  calmMs: 30,
  troubles: [],
};
const moved = new Map([
  ["ana", at("two", 2)],
  ["bruno", at("two", 2)],
  ["chen", at("two")],
]);
const died = { moves: "hit", withinMs: 4_000 } as const;

describe("what was seen against what was expected", () => {
  test("nobody moves, nobody notices", () => {
    expect(judge(still)).toEqual({
      hit: 2,
      moved: 0,
      moves: 0,
      medianMs: 50,
      worstMs: 60,
      othersMs: 30,
      allowedMs: 130,
      lost: [],
      problems: [],
    });
  });

  test("all of it move, and nobody else", () => {
    expect(judge({ ...still, expects: died, after: moved })).toMatchObject({
      moved: 2,
      moves: 2,
      problems: [],
    });
    const everybody = new Map([...moved, ["chen", at("one", 2)]]);
    const tooMany = judge({ ...still, expects: died, after: everybody });
    expect(tooMany.problems).toEqual(["chen was moved, and is at another instance"]);
    const onlyAna = new Map([...moved, ["bruno", at("one")]]);
    const tooFew = judge({ ...still, expects: died, after: onlyAna });
    expect(tooFew.problems).toEqual(["bruno was not moved"]);
  });

  test("a move and back is two moves, and no rest", () => {
    const back = new Map([...still.after, ["ana", at("one", 3)]]);
    const outcome = judge({ ...still, after: back });
    expect(outcome).toMatchObject({ moved: 1, moves: 2 });
    expect(outcome.problems).toEqual(["ana was moved, and nobody should be"]);
  });

  test("a session that is another one afterwards, or none, was lost", () => {
    const ended = new Map([...still.after, ["ana", at("one", 1, "t")], ["bruno", undefined]] as const);
    expect(judge({ ...still, after: ended })).toMatchObject({
      lost: ["ana", "bruno"],
      problems: ["ana lost its session", "bruno lost its session"],
    });
  });

  test("an outage beyond the bound, with what the machine was late by itself, is told", () => {
    const heeds = [heed("ana", 4_040, 45), heed("bruno", 4_060), heed("chen", 30)];
    const outcome = judge({ ...still, expects: died, after: moved, heeds });
    expect(outcome.allowedMs).toBe(4_045);
    expect(outcome.problems).toEqual(["bruno was without an answer for 4060 ms, 4045 allowed"]);
  });

  test("who is not hit may notice nothing, whatever those may who are", () => {
    const heeds = [heed("ana", 2_000), heed("bruno", 2_000), heed("chen", 200)];
    const outcome = judge({ ...still, expects: died, after: moved, heeds });
    expect(outcome.problems).toEqual(["chen was without an answer for 200 ms, 130 allowed"]);
  });

  test("what hits no instance hits all", () => {
    expect(judge({ ...still, instance: undefined })).toMatchObject({
      hit: 3,
      othersMs: undefined,
      medianMs: 40,
    });
  });

  test("a group that does not come to rest is a problem", () => {
    expect(judge({ ...still, troubles: ["not at rest"] }).problems).toEqual(["not at rest"]);
  });
});

const ran: readonly Ran[] = [
  { fault: "drain", is: "run", tookMs: 3_000, instance: "one", outcome: judge(still) },
  {
    fault: "cable",
    is: "run",
    tookMs: 9_000,
    instance: "one",
    outcome: judge({
      ...still,
      expects: died,
      heeds: [heed("ana", 60), heed("bruno", 5_000), heed("chen", 30)],
    }),
  },
  { fault: "tunnel-killed", is: "skipped", why: "no such process" },
];
const calm = { devices: 3, requestsPerS: 150, medianMs: 24, worstMs: 30, lateMs: 4, cpuRatio: 0.07 };

describe("what is printed", () => {
  test("the table, and below it what was not as expected", () => {
    expect(reportText({ machine: "a machine", calm, ran })).toBe(
      [
        "a machine",
        "3 devices, 150 requests answered per second, which take 7 % of one processor to ask.",
        "Without a fault the longest time without an answer is 24 ms (median of the devices), 30 ms (worst).",
        "",
        "Fault          Sessions There  Moved  Median Gap ms  Worst ms  Allowed ms  Others' Worst ms  Lost  As Expected",
        "drain                       2      0             50        60         130                30     0  yes",
        "cable                       2      0           2530      5000        4030                30     0  no",
        "tunnel-killed               -      -              -         -           -                 -     -  not run: no such process",
        "",
        "cable: ana was not moved",
        "cable: bruno was not moved",
        "cable: bruno was without an answer for 5000 ms, 4030 allowed",
      ].join("\n"),
    );
    expect(isAsExpected(ran)).toBe(false);
    expect(isAsExpected(ran.toSpliced(1, 1))).toBe(true);
  });

  test("what happens, a line each", () => {
    expect(ran.map(progressText)).toEqual([
      "drain at one: 0 of 2 moved, longest gap 60 ms",
      expect.stringMatching(/^cable at one: 0 of 2 moved, longest gap 5000 ms\n +ana was not moved\n/),
      "tunnel-killed not run: no such process",
    ]);
    expect(calmText({ ...calm, medianMs: undefined })).toContain("is - (median");
  });
});

test("every fault has a name of its own", () => {
  expect(new Set(faults.map(({ name }) => name)).size).toBe(faults.length);
});
