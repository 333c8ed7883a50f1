import { describe, expect, test } from "vitest";
import { believe } from "../../controller/core/believed.ts";
import { Fleet } from "../../controller/core/fleet.ts";
import { Model } from "../../controller/core/model.ts";
import { Refusals } from "../../controller/core/refusals.ts";
import { put } from "../../controller/core/rows.ts";
import { nextSession, type PassContext } from "../../controller/core/session-next.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, withConnector } from "./peers.ts";
import { attachedRow, instanceRow } from "./placement-world.ts";

/** On i1, which has granted 10.0.0.1 in this epoch. */
const session = { ...attachedRow("s1", "i1"), epoch: 3 };

/** What an instance may still say of an epoch that is over: it was on its way, or it is told of the new one later. */
const stale: Record<string, SessionOutcome> = {
  "a grant": { outcome: "granted", epoch: 2, ipv4: "10.0.0.2" },
  "a refusal": { outcome: "refused", epoch: 2, code: "pool.full" },
  "an end": { outcome: "ended", epoch: 2, code: "lease.expired" },
};

describe.each(Object.entries(stale))("%s of an epoch that is over", (_, outcome) => {
  test("is not believed when it is decided, nor held against its instance", () => {
    const model = new Model();
    const fleet = new Fleet();
    model.apply(put("instance", instanceRow("i1")));
    model.apply(put("session", session));
    const refusals = new Refusals(fleet);
    const asked = { devices: new Set([session.device]), outcomes: new Map([["s1", outcome]]) };
    const { outcomes, foreign } = believe(asked, model, refusals, 0);
    expect([...outcomes]).toEqual([]);
    expect(foreign).toEqual([]);
    expect(refusals.isExcluded("s1", "i1", 0)).toBe(false);
    const mine = { ...outcome, epoch: 3 };
    const now = believe({ ...asked, outcomes: new Map([["s1", mine]]) }, model, refusals, 0);
    expect(now.outcomes.get("s1")).toEqual(mine);
  });

  test("changes nothing, even if it is believed", () => {
    const pass: PassContext = {
      ...{ device: "s1", isSettled: true, fate: "stay", leaveByMs: 1, newId: () => "other" },
      ...{ take: () => ({ instance: "i2", pool: "Pool1" }), takeHome: () => "placement.no-address" },
      leave: () => undefined,
    };
    expect(nextSession(session, outcome, undefined, pass)).toBe(session);
    expect(nextSession(session, { ...outcome, epoch: 3 }, undefined, pass)).not.toBe(session);
  });

  test("leaves session and store as they are", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, name } = activeInstance(h);
    const { device, id } = attachedDevice(h);
    const before = h.views.device(id)?.session?.id ?? "";
    device.report({ held: { session: before, epoch: 7, instance: name } });
    const raised = h.views.device(id)?.session;
    expect(raised).toMatchObject({ state: "attached", epoch: 8 });
    const { commits } = h.store;
    agent.report({ [`session/${before}`]: outcome });
    expect(h.views.device(id)?.session).toEqual(raised);
    expect(h.store.commits).toBe(commits);
  });
});
