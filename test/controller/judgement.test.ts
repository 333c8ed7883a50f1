import { describe, expect, test } from "vitest";
import {
  type Evidence,
  type Fate,
  fateOf,
  fateOfPlaced,
  judge,
  judgeAgainAtMs,
  type Testimony,
  type Verdict,
} from "../../controller/core/judgement.ts";

const settings = { witnessesMin: 2 };
const up = { is: "up" } as const;
const lost = { is: "lost", sinceMs: 10_000, graceMs: 3_000 } as const;
const well: Evidence = {
  link: up,
  isDrained: false,
  status: "Active",
  alive: 0,
  dead: 0,
  heldDownUntilMs: 0,
};

function verdict(evidence: Partial<Evidence>, nowMs = 10_500): string {
  const found = judge({ ...well, ...evidence }, settings, nowMs);
  return "why" in found ? `${found.is}: ${found.why}` : found.is;
}

describe("an instance", () => {
  test.each<[string, Partial<Evidence>, string]>([
    ["with a link serves", {}, "serving"],
    [
      "serves while its data path is not in order, as long as its devices do not complain",
      { status: "Online" },
      "serving",
    ],
    ["whose link is lost is given its grace", { link: lost }, "serving"],
    ["drained by an administrator leaves", { isDrained: true }, "leaving: administrator"],
    [
      "drained by an administrator leaves also without a link",
      { link: lost, isDrained: true },
      "leaving: administrator",
    ],
    ["that says it drains leaves", { status: "Draining" }, "leaving: instance"],
    [
      "that said so before its link was lost leaves still",
      { link: lost, status: "Draining" },
      "leaving: instance",
    ],
    ["that said goodbye is gone", { link: { is: "goodbye" } }, "gone: goodbye"],
    [
      "that said goodbye is gone whatever its devices say",
      { link: { is: "goodbye" }, alive: 9 },
      "gone: goodbye",
    ],
    ["is not condemned by one device", { dead: 1 }, "serving"],
    ["is condemned by two", { dead: 2 }, "gone: devices"],
    ["is not condemned by a minority", { dead: 2, alive: 3 }, "serving"],
    ["is condemned by half", { dead: 2, alive: 2 }, "gone: devices"],
    ["is condemned also while it drains", { dead: 2, isDrained: true }, "gone: devices"],
    ["without a link is condemned by one", { link: lost, dead: 1 }, "gone: devices"],
    ["without a link is not condemned by one against two", { link: lost, dead: 1, alive: 2 }, "serving"],
    ["that is held down is not believed", { heldDownUntilMs: 10_501 }, "gone: devices"],
    ["is believed again after that", { heldDownUntilMs: 10_500 }, "serving"],
  ])("%s", (_, evidence, expected) => {
    expect(verdict(evidence)).toBe(expected);
  });

  test("without a link is gone when its grace is over, and judged again at that moment", () => {
    expect(verdict({ link: lost }, 12_999)).toBe("serving");
    expect(judgeAgainAtMs({ ...well, link: lost }, 12_999)).toBe(13_000);
    expect(verdict({ link: lost }, 13_000)).toBe("gone: link-lost");
    expect(judgeAgainAtMs({ ...well, link: lost }, 13_000)).toBeUndefined();
    expect(
      verdict({ link: lost, isDrained: true }, 13_000),
      "who drains it wants it empty all the same",
    ).toBe("leaving: administrator");
    expect(judgeAgainAtMs(well, 0), "nothing changes by itself").toBeUndefined();
  });
});

type VerdictName = "serving" | "leaving" | "goodbye" | "link-lost" | "devices";

const verdicts: Record<VerdictName, Verdict> = {
  serving: { is: "serving" },
  leaving: { is: "leaving", why: "administrator" },
  goodbye: { is: "gone", why: "goodbye" },
  "link-lost": { is: "gone", why: "link-lost" },
  devices: { is: "gone", why: "devices" },
};

/** A session that is attached, by the verdict about its instance and what its device says. */
const fates: Record<VerdictName, Record<Testimony, Fate>> = {
  serving: { alive: "stay", dead: "stay", lasting: "move", silent: "stay", fresh: "stay", away: "stay" },
  leaving: {
    alive: "overlap",
    dead: "move",
    lasting: "move",
    silent: "overlap",
    fresh: "overlap",
    away: "overlap",
  },
  goodbye: { alive: "move", dead: "move", lasting: "move", silent: "move", fresh: "move", away: "move" },
  "link-lost": { alive: "stay", dead: "move", lasting: "move", silent: "move", fresh: "stay", away: "stay" },
  devices: { alive: "stay", dead: "move", lasting: "move", silent: "move", fresh: "stay", away: "stay" },
};

const placed: Record<VerdictName, Fate> = {
  serving: "stay",
  leaving: "move",
  goodbye: "move",
  "link-lost": "move",
  devices: "move",
};

describe("a session", () => {
  for (const name of Object.keys(verdicts) as VerdictName[]) {
    for (const testimony of Object.keys(fates[name]) as Testimony[]) {
      test(`attached under ${name}, its device ${testimony}: ${fates[name][testimony]}`, () => {
        expect(fateOf(verdicts[name], testimony)).toBe(fates[name][testimony]);
      });
    }
    test(`asked for under ${name}: ${placed[name]}`, () => {
      expect(fateOfPlaced(verdicts[name])).toBe(placed[name]);
    });
  }
});
