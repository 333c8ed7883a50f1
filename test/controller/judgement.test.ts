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
import type { Words } from "../../controller/core/tally.ts";
import type { Said } from "../../controller/core/witnesses.ts";

const settings = { witnessesMin: 2 };
const up = { is: "up" } as const;
const lost = { is: "lost", sinceMs: 10_000, graceMs: 3_000 } as const;
/** So many devices, each of a user and a network of its own, that knew the path alive. */
function said(dead: number, alive: number, change: Partial<Said> = {}): Said {
  return { dead: words(dead), alive: words(alive), turned: words(dead), isNetworkWell: false, ...change };
}

function words(devices: number, users = devices, networks = users): Words {
  return { devices, users, networks };
}

const well: Evidence = {
  link: up,
  isDrained: false,
  isRestarting: false,
  status: "Active",
  said: said(0, 0),
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
    ["whose turn it is in a rolling restart leaves", { isRestarting: true }, "leaving: restart"],
    [
      "leaves because of the administrator when there are both reasons",
      { isDrained: true, isRestarting: true },
      "leaving: administrator",
    ],
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
      { link: { is: "goodbye" }, said: said(0, 9) },
      "gone: goodbye",
    ],
    ["is not condemned by one device", { said: said(1, 0) }, "serving"],
    ["is condemned by two", { said: said(2, 0) }, "gone: devices"],
    ["is not condemned by a minority", { said: said(2, 3) }, "serving"],
    ["is condemned by half", { said: said(2, 2) }, "gone: devices"],
    ["is condemned also while it drains", { said: said(2, 0), isDrained: true }, "gone: devices"],
    [
      "is not condemned by two devices of one user",
      { said: said(2, 0, { turned: words(2, 1, 2) }) },
      "serving",
    ],
    [
      "is not condemned by one network alone: that may be what is broken",
      { said: said(9, 0, { turned: words(9, 9, 1) }) },
      "serving",
    ],
    [
      "is condemned by one network of which others are well on other instances",
      { said: said(9, 0, { turned: words(9, 9, 1), isNetworkWell: true }) },
      "gone: devices",
    ],
    [
      "is not condemned by one network against two, however many are there",
      { said: said(9, 2, { turned: words(9, 9, 1), isNetworkWell: true }) },
      "serving",
    ],
    [
      "is not condemned by two networks against one where more are well",
      { said: said(2, 0, { alive: words(50, 50, 1) }) },
      "serving",
    ],
    ["is not condemned by those who never had a path", { said: said(9, 0, { turned: words(0) }) }, "serving"],
    ["without a link is condemned by one", { link: lost, said: said(1, 0) }, "gone: devices"],
    [
      "without a link is condemned by one that never had a path",
      { link: lost, said: said(1, 0, { turned: words(0) }) },
      "gone: devices",
    ],
    ["without a link is not condemned by one against two", { link: lost, said: said(1, 2) }, "serving"],
    [
      "without a link is not condemned by many devices of one user against two",
      { link: lost, said: said(9, 2, { dead: words(9, 1) }) },
      "serving",
    ],
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
  serving: { alive: "stay", dead: "stay", lasting: "move", silent: "stay", unheard: "stay", away: "stay" },
  leaving: {
    alive: "overlap",
    dead: "move",
    lasting: "move",
    silent: "overlap",
    unheard: "overlap",
    away: "overlap",
  },
  goodbye: { alive: "move", dead: "move", lasting: "move", silent: "move", unheard: "move", away: "move" },
  "link-lost": {
    alive: "stay",
    dead: "move",
    lasting: "move",
    silent: "move",
    unheard: "stay",
    away: "stay",
  },
  devices: { alive: "stay", dead: "move", lasting: "move", silent: "move", unheard: "stay", away: "stay" },
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
