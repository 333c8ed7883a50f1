import { expect, test } from "vitest";
import { instanceTable, judgementText } from "../../controller/cli/text/instances.ts";
import { troublesOf } from "../../controller/cli/text/status.ts";
import type { InstanceView, JudgementView } from "../../controller/core/views.ts";
import { Harness } from "./harness.ts";
import { activeInstance, withConnector } from "./peers.ts";

const sinceMs = Date.UTC(2026, 0, 2, 3, 4, 5);

function view(judgement: Partial<JudgementView>, isLinked = true): InstanceView {
  const h = new Harness();
  withConnector(h);
  const { name } = activeInstance(h);
  const found = h.views.instance(name);
  if (found === undefined) throw new Error("it was enrolled");
  const linkUpSinceMs = isLinked ? found.linkUpSinceMs : null;
  return { ...found, linkUpSinceMs, judgement: { ...found.judgement, ...judgement } };
}

test.each<[Partial<JudgementView>, boolean, string]>([
  [{}, true, "serving"],
  [{}, false, "not judged yet, it may come back"],
  [{ devicesDead: 1, devicesAlive: 5 }, true, "serving; devices: 1 say dead, 5 alive"],
  [
    { is: "leaving", why: "administrator", sinceMs, moved: 9, leaving: 2, waiting: 1 },
    true,
    "leaving since 2026-01-02 03:04:05Z: an administrator drains it; sessions: 9 moved, 2 coming over, 1 without another place",
  ],
  [
    { is: "gone", why: "link-lost", sinceMs, moved: 12, waiting: 1, devicesDead: 3 },
    false,
    "gone since 2026-01-02 03:04:05Z: its link is lost; devices: 3 say dead, 0 alive; sessions: 12 moved, 1 without another place",
  ],
])("what the controller thinks of an instance, in words (%#)", (judgement, isLinked, text) => {
  expect(judgementText(view(judgement, isLinked))).toBe(text);
});

test("the list says it below the table, of those who do not serve", () => {
  const gone = view({ is: "gone", why: "goodbye", sinceMs, moved: 3 });
  expect(
    instanceTable([view({}), gone], 200)
      .split("\n")
      .slice(-2),
  ).toEqual(["", `${gone.name}: gone since 2026-01-02 03:04:05Z: it said goodbye; sessions: 3 moved`]);
});

test("the status names who is condemned though it says that it is Active, and who has users without a place", () => {
  const troubles = (judgement: Partial<JudgementView>) =>
    troublesOf({ connectors: [], instances: [view(judgement)] }).map(({ what }) => what);
  expect(troubles({})).toEqual([]);
  expect(troubles({ is: "leaving", why: "administrator", sinceMs, moved: 3 })).toEqual([]);
  expect(troubles({ is: "leaving", why: "administrator", sinceMs, waiting: 3 })).toHaveLength(1);
  expect(troubles({ devicesDead: 1, devicesAlive: 1 })).toEqual([]);
  expect(troubles({ devicesDead: 3, devicesAlive: 0 })).toEqual(["serving; devices: 3 say dead, 0 alive"]);
  expect(troubles({ is: "gone", why: "devices", sinceMs })).toEqual([
    "gone since 2026-01-02 03:04:05Z: its devices say that their path is dead; sessions: 0 moved",
  ]);
});
