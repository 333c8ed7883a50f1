import { expect, test } from "vitest";
import { type Decision, decide } from "../../device/core/attachment.ts";
import type { Hold } from "../../device/core/saved.ts";
import type { Attachment } from "../../protocol/state.ts";
import { attached, deviceId } from "./fixture.ts";

const holds = {
  nothing: { is: "nothing" },
  waiting: { is: "waiting", code: "placement.no-instance", sinceMs: 5 },
  attached: { is: "attached", to: attached(4), sinceMs: 5 },
} as const satisfies Record<Hold["is"], Hold>;

const words = {
  "waiting, same reason": { state: "waiting", code: "placement.no-instance" },
  "waiting, other reason": { state: "waiting", code: "placement.no-address" },
  "older epoch": attached(3),
  "same epoch": attached(4),
  "same epoch, other routes": attached(4, { routes: ["192.168.0.0/16"] }),
  "newer epoch": attached(5),
  "other session": attached(1, { session: deviceId }),
} as const satisfies Record<string, Attachment>;

type Expected = "take" | Extract<Decision, { take: false }>["because"];

const table: Record<Hold["is"], Record<keyof typeof words, Expected>> = {
  nothing: {
    "waiting, same reason": "take",
    "waiting, other reason": "take",
    "older epoch": "take",
    "same epoch": "take",
    "same epoch, other routes": "take",
    "newer epoch": "take",
    "other session": "take",
  },
  waiting: {
    "waiting, same reason": "same",
    "waiting, other reason": "take",
    "older epoch": "take",
    "same epoch": "take",
    "same epoch, other routes": "take",
    "newer epoch": "take",
    "other session": "take",
  },
  attached: {
    "waiting, same reason": "take",
    "waiting, other reason": "take",
    "older epoch": "older epoch",
    "same epoch": "same",
    "same epoch, other routes": "take",
    "newer epoch": "take",
    "other session": "take",
  },
};

for (const [held, row] of Object.entries(table) as [Hold["is"], Record<keyof typeof words, Expected>][]) {
  for (const [word, expected] of Object.entries(row) as [keyof typeof words, Expected][]) {
    test(`holding ${held}, told ${word}: ${expected}`, () => {
      const decision = decide(holds[held], "attached", words[word], 9);
      expect(decision.take ? "take" : decision.because).toBe(expected);
    });
  }
}

test("a device that was logged out takes nothing", () => {
  for (const word of Object.values(words)) {
    expect(decide(holds.nothing, "detached", word, 9)).toEqual({ take: false, because: "logged out" });
  }
});

test("the time since when it is attached stays when only routes change, and starts anew with a move", () => {
  expect(decide(holds.attached, "attached", words["same epoch, other routes"], 9)).toMatchObject({
    hold: { sinceMs: 5 },
  });
  expect(decide(holds.attached, "attached", words["newer epoch"], 9)).toMatchObject({ hold: { sinceMs: 9 } });
});
