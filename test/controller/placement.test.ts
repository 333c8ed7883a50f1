import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fleet } from "../../controller/core/fleet.ts";
import { Model } from "../../controller/core/model.ts";
import { Placement } from "../../controller/core/placement.ts";
import { put } from "../../controller/core/rows.ts";
import type { DeploymentMode } from "../../protocol/specs.ts";
import { connectorInput } from "./peers.ts";
import { attachedRow, instanceRow, reportActive } from "./placement-world.ts";

interface Setting {
  readonly free: number;
  readonly load: number;
  readonly status: "Active" | "Online" | "Draining";
  readonly isDrained?: boolean;
}

/** A connector of instances with so many sessions and free addresses each. */
function world(settings: readonly Setting[], mode: DeploymentMode = "active-active") {
  const model = new Model();
  const fleet = new Fleet();
  const { userIpManagement: _, ...connector } = connectorInput({ mode });
  model.apply(put("connector", { ...connector, createdAtMs: 0 }));
  settings.forEach(({ free, load, status, isDrained = false }, i) => {
    const id = `i${i}`;
    model.apply(put("instance", instanceRow(id, ["Pool1"], isDrained)));
    for (let n = 0; n < load; n++) model.apply(put("session", attachedRow(`${id}-${n}`, id)));
    reportActive(fleet, id, { Pool1: free }, status);
  });
  return { model, fleet };
}

/** By looking at all of them: the load of the least loaded that has an address. */
function lowest(loads: readonly number[], free: readonly number[]): number | undefined {
  const open = loads.filter((_, i) => (free[i] ?? 0) > 0);
  return open.length === 0 ? undefined : Math.min(...open);
}

const setting = fc.record({
  free: fc.nat(20),
  load: fc.nat(20),
  status: fc.constantFrom("Active", "Active", "Active", "Online", "Draining"),
  isDrained: fc.constantFrom(false, false, false, true),
}) as fc.Arbitrary<Setting>;

describe("placement", () => {
  test("takes one of the least loaded every time, as a naive oracle finds them", () => {
    fc.assert(
      fc.property(
        fc.array(setting, { maxLength: 12 }),
        fc.nat(200),
        fc.nat(11),
        (settings, arrivals, turn) => {
          const { model, fleet } = world(settings);
          const placement = new Placement(model, fleet, turn);
          const isActive = (one: Setting) => one.status === "Active" && !one.isDrained;
          const loads = settings.map(({ load }) => load);
          const free = settings.map((one) => (isActive(one) ? one.free : 0));
          const none = settings.some(isActive) ? "placement.no-address" : "placement.no-instance";
          for (let n = 0; n < arrivals; n++) {
            const place = placement.take({ group: "staff" });
            if (typeof place === "string") {
              expect([place, lowest(loads, free)]).toEqual([none, undefined]);
              return;
            }
            const i = Number(place.instance.slice(1));
            expect(free[i]).toBeGreaterThan(0);
            expect(loads[i]).toBe(lowest(loads, free));
            loads[i] = (loads[i] ?? 0) + 1;
            free[i] = (free[i] ?? 0) - 1;
          }
        },
      ),
    );
  });

  test("keeps the spread within one for arrivals to an even group with room", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.nat(500), fc.nat(63), (instances, arrivals, turn) => {
        const { model, fleet } = world(
          Array.from({ length: instances }, () => ({ free: 1000, load: 0, status: "Active" as const })),
        );
        const placement = new Placement(model, fleet, turn);
        const loads = new Map<string, number>();
        for (let n = 0; n < arrivals; n++) {
          const place = placement.take({ group: "staff" });
          if (typeof place === "string") throw new Error(place);
          loads.set(place.instance, (loads.get(place.instance) ?? 0) + 1);
        }
        const heights = Array.from({ length: instances }, (_, i) => loads.get(`i${i}`) ?? 0);
        expect(Math.max(...heights) - Math.min(...heights)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("sends everything to a new instance until the load is even", () => {
    const { model, fleet } = world([
      { free: 100, load: 10, status: "Active" },
      { free: 100, load: 10, status: "Active" },
      { free: 100, load: 0, status: "Active" },
    ]);
    const placement = new Placement(model, fleet, 0);
    const first = Array.from({ length: 10 }, () => placement.take({ group: "staff" }));
    expect(new Set(first.map((place) => (typeof place === "string" ? place : place.instance)))).toEqual(
      new Set(["i2"]),
    );
  });

  test("counts addresses promised to sessions that are not granted yet", () => {
    const { model, fleet } = world([{ free: 2, load: 0, status: "Active" }]);
    const place = { is: "placed", instance: "i0", pool: "Pool1" } as const;
    model.apply(put("session", { id: "a", device: "a", epoch: 1, place, leaving: null }));
    const placement = new Placement(model, fleet, 0);
    expect(placement.take({ group: "staff" })).toMatchObject({ instance: "i0" });
    expect(placement.take({ group: "staff" })).toBe("placement.no-address");
  });

  test("lets one carry in active-standby", () => {
    const { model, fleet } = world(
      [
        { free: 100, load: 0, status: "Active" },
        { free: 100, load: 5, status: "Active" },
      ],
      "active-standby",
    );
    expect(new Placement(model, fleet, 0).take({ group: "staff" })).toBe("placement.no-instance");
    model.apply(put("carrier", { name: "prod", instance: "i1", sinceMs: 0, why: "first" }));
    const placement = new Placement(model, fleet, 1);
    const places = Array.from({ length: 7 }, () => placement.take({ group: "staff" }));
    expect(places).toEqual(places.map(() => ({ instance: "i1", pool: "Pool1" })));
  });

  test("spreads ties: of equals the one with the most addresses, of these the next in turn", () => {
    const { model, fleet } = world([
      { free: 5, load: 1, status: "Active" },
      { free: 9, load: 1, status: "Active" },
      { free: 5, load: 1, status: "Active" },
    ]);
    const first = (turn: number) => new Placement(model, fleet, turn).take({ group: "staff" });
    expect([0, 1, 2].map(first)).toEqual(Array(3).fill({ instance: "i1", pool: "Pool1" }));
    const equal = world(Array.from({ length: 3 }, () => ({ free: 5, load: 1, status: "Active" as const })));
    const next = (turn: number) => new Placement(equal.model, equal.fleet, turn).take({ group: "staff" });
    expect([0, 1, 2, 3].map(next)).toEqual(
      ["i0", "i1", "i2", "i0"].map((instance) => ({ instance, pool: "Pool1" })),
    );
  });

  test("a session that has to leave its instance, or was refused, gets another; one with an address at rest gets that", () => {
    const { model, fleet } = world([
      { free: 5, load: 0, status: "Active" },
      { free: 5, load: 3, status: "Active" },
      { free: 0, load: 9, status: "Active" },
    ]);
    const placement = new Placement(model, fleet, 0);
    const group = "staff";
    expect(placement.take({ group, off: "i0" })).toMatchObject({ instance: "i1" });
    expect(placement.take({ group, isRefusedBy: (id) => id === "i0" })).toMatchObject({ instance: "i1" });
    expect(placement.take({ group, home: "i2" })).toMatchObject({ instance: "i2" });
    expect(placement.take({ group, home: "i2", isRefusedBy: (id) => id === "i2" })).toMatchObject({
      instance: "i0",
    });
    expect(placement.take({ group, home: "elsewhere" })).toMatchObject({ instance: "i0" });
  });

  test("knows the reasons why not", () => {
    const { model, fleet } = world([{ free: 0, load: 1, status: "Active" }]);
    const placement = new Placement(model, fleet, 0);
    expect(placement.take({ group: "nobody" })).toBe("placement.no-connector");
    expect(placement.take({ group: "staff" })).toBe("placement.no-address");
    const offline = world([{ free: 9, load: 1, status: "Online" }]);
    expect(new Placement(offline.model, offline.fleet, 0).take({ group: "staff" })).toBe(
      "placement.no-instance",
    );
  });
});
