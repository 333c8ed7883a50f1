import { describe, expect, test } from "vitest";
import type { Imds } from "../../agent/adapters/imds.ts";
import { AwsNotices } from "../../agent/adapters/notices.ts";
import {
  lifecycleState,
  type NoticesReading,
  rebalanceNotice,
  spotNotice,
} from "../../agent/core/notice-shapes.ts";
import { Notices } from "../../agent/core/notices.ts";
import { failed, success } from "../../protocol/failures.ts";
import { at } from "./fixture.ts";
import { noNotice } from "./world.ts";

describe("the texts of AWS", () => {
  test("as its documentation has them", () => {
    const atMs = Date.UTC(2026, 10, 22, 8, 22, 0);
    expect(spotNotice('{"action": "stop", "time": "2026-11-22T08:22:00Z"}')).toEqual({
      action: "stop",
      atMs,
    });
    expect(rebalanceNotice('{"noticeTime":"2026-11-22T08:22:00Z"}')).toEqual({ noticedMs: atMs });
    expect(lifecycleState("Terminated\n")).toBe("Terminated");
  });

  test.each([
    "",
    "{}",
    "null",
    "[]",
    "terminate",
    '{"action":"explode","time":"2026-11-22T08:22:00Z"}',
    '{"action":"stop","time":"soon"}',
    '{"action":"stop"}',
    "<html></html>",
  ])("%j is none of them", (text) => {
    expect(spotNotice(text)).toBeUndefined();
    expect(rebalanceNotice(text)).toBeUndefined();
    expect(lifecycleState(text)).toBeUndefined();
  });
});

describe("a reading", () => {
  const imds = (answers: Record<string, ReturnType<typeof success<string>> | ReturnType<typeof failed>>) => ({
    get: async (path: string) => answers[path.split("/").at(-1) ?? ""] ?? success(undefined),
  });

  test("404 is none, a failure is unknown, and one does not spoil the others", async () => {
    expect(await new AwsNotices(imds({})).read("all")).toEqual(noNotice);
    const mixed = await new AwsNotices(
      imds({
        "instance-action": failed("imds.failing", { status: 500 }),
        "target-lifecycle-state": success("Terminated"),
      }),
    ).read("all");
    expect(mixed).toEqual({
      spot: { is: "unknown", why: "imds.failing", facts: { status: 500 } },
      rebalance: { is: "known", value: undefined },
      autoscaling: { is: "known", value: "Terminated" },
    });
  });

  test("a text that is none of AWS's is unknown", async () => {
    const reading = await new AwsNotices(imds({ "instance-action": success("hello") })).read("spot");
    expect(reading).toMatchObject({ spot: { is: "unknown", why: "imds.malformed" } });
    expect(reading).toMatchObject({ rebalance: undefined, autoscaling: undefined });
  });
});

describe("an instance on demand", () => {
  async function asks(lifeCycle: Awaited<ReturnType<Imds["get"]>>): Promise<string[]> {
    const asked: string[] = [];
    const notices = new AwsNotices({
      get: async (path) => {
        asked.push(path.split("/").at(-1) ?? "");
        return path.endsWith("life-cycle") ? lifeCycle : success(undefined);
      },
    });
    for (const look of ["all", "spot", "all"] as const)
      expect((await notices.read(look)).spot.is).toBe("known");
    return asked;
  }
  const [all, spot] = [["instance-action", "rebalance", "target-lifecycle-state"], ["instance-action"]];

  test("is asked once what it is, and then for its Auto Scaling group alone", async () => {
    expect(await asks(success("on-demand"))).toEqual([
      "instance-life-cycle",
      "target-lifecycle-state",
      "target-lifecycle-state",
    ]);
  });

  test("is who says so: one that says spot, or nothing, is asked for everything", async () => {
    expect(await asks(success("spot"))).toEqual(["instance-life-cycle", ...all, ...spot, ...all]);
    const doubtful = ["instance-life-cycle", ...all, ...spot, "instance-life-cycle", ...all];
    expect(await asks(success(undefined))).toEqual(doubtful);
    expect(await asks(failed("imds.failing"))).toEqual(doubtful);
  });
});

describe("notices over time", () => {
  const spot = { action: "terminate", atMs: 5 } as const;
  const unknown = { is: "unknown", why: "imds.unreachable", facts: {} } as const;
  const words: Record<string, NoticesReading["spot"]> = {
    "+": { is: "known", value: spot },
    "-": { is: "known", value: undefined },
    "?": unknown,
  };

  /** What is known after these looks, `+` there, `-` not there, `?` not told. */
  function after(looks: string): string {
    const notices = new Notices();
    let nowMs = 0;
    for (const look of looks) {
      const effectId = notices.next(at(nowMs))?.effectId ?? -1;
      notices.take(effectId, { ...noNotice, spot: words[look] ?? unknown }, at(nowMs));
      nowMs += 5_000;
    }
    if (notices.spot === undefined) return "not known";
    return notices.spot.value === undefined ? "none" : "there";
  }

  test.each([
    ["", "not known"],
    ["??", "not known"],
    ["-", "none"],
    ["+", "there"],
    ["-+", "there"],
    ["+?", "there"],
    ["+????????", "there"],
    ["+-", "there"],
    ["+--", "there"],
    ["+---", "none"],
    ["+-+--", "there"],
    // What is not known neither counts nor begins anew.
    ["+--?-", "none"],
    ["-?", "none"],
  ])("%j: %s", (looks, expected) => {
    expect(after(looks)).toBe(expected);
  });

  test("one look at a time, every five seconds; an answer nobody waits for is dropped", () => {
    const notices = new Notices();
    const first = notices.next(at(0))?.effectId ?? -1;
    expect(notices.next(at(60_000))).toBeUndefined();
    expect(notices.nextDeadline()).toBeUndefined();
    expect(notices.take(first + 1, noNotice, at(60_000))).toBe(false);
    expect(notices.take(first, noNotice, at(60_000))).toBe(true);
    expect(notices.nextDeadline()).toBe(65_000);
    expect(notices.take(first, { ...noNotice, spot: { is: "known", value: spot } }, at(65_000))).toBe(false);
    expect(notices.spot).toEqual({ value: undefined });
  });

  test("the first look and every third is at everything, the others at what leaves two minutes", () => {
    const notices = new Notices();
    const looks = Array.from({ length: 7 }, (_, i) => {
      const look = notices.next(at(i * 5_000));
      notices.take(look?.effectId ?? -1, noNotice, at(i * 5_000));
      return look?.look;
    });
    expect(looks).toEqual(["all", "spot", "spot", "all", "spot", "spot", "all"]);
  });

  test("what is announced, and what cannot be read, is shown", () => {
    const notices = new Notices();
    const rebalance = { is: "known", value: { noticedMs: 0 } } as const;
    const reading = {
      spot: { is: "known", value: { ...spot, atMs: 120_000 } },
      rebalance,
      autoscaling: unknown,
    } as const;
    notices.take(notices.next(at(0))?.effectId ?? -1, reading, at(0));
    expect(notices.problems()).toEqual([
      { code: "notice.spot", facts: { action: "terminate", at: "1970-01-01T00:02:00Z" } },
      { code: "notice.rebalance", facts: { since: "1970-01-01T00:00:00Z" } },
      { code: "notice.unreadable", facts: { why: "imds.unreachable" } },
    ]);
  });
});
