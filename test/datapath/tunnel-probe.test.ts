import { describe, expect, test } from "vitest";
import { type Echo, Probe, type ProbeEffect, type ProbeInput } from "../../device/core/probe.ts";

const at = (ms: number) => ({ monotonicMs: ms, wallMs: ms });

describe("the probe", () => {
  /** Answers what is asked by what the test says has come back. */
  function watching() {
    const probe = new Probe();
    const told: [number, string][] = [];
    const world = { rxBytes: 0, echo: "answered" as Echo, nowMs: 0, asked: 0 };
    const post = (input: ProbeInput): void => {
      for (const effect of probe.handle(input, at(world.nowMs))) perform(effect);
    };
    function perform(effect: ProbeEffect): void {
      switch (effect.do) {
        case "readReceived":
          post({ kind: "received", effectId: effect.effectId, rxBytes: world.rxBytes });
          return;
        case "echo": {
          world.asked += 1;
          const { effectId } = effect;
          const { echo } = world;
          // An answer is traffic, and silence takes its time.
          if (echo === "answered") world.rxBytes += 100;
          if (echo === "silent") world.nowMs += 800;
          post({ kind: "echoed", effectId, echo });
          return;
        }
        case "tell":
          told.push([world.nowMs, effect.verdict]);
      }
    }
    const run = (ms: number, each: () => void = () => undefined) => {
      const endMs = world.nowMs + ms;
      for (;;) {
        const dueMs = probe.nextDeadline();
        if (dueMs === undefined || dueMs > endMs) break;
        world.nowMs = Math.max(world.nowMs, dueMs);
        each();
        post({ kind: "tick" });
      }
      world.nowMs = endMs;
    };
    post({ kind: "watch", path: "s/1" });
    return { probe, world, told, post, run };
  }

  test("asks nothing while traffic comes back", () => {
    const { world, told, run } = watching();
    run(10_000, () => {
      world.rxBytes += 100;
    });
    expect(world.asked).toBe(1);
    expect(told).toEqual([[0, "alive"]]);
  });

  test("asks each second while none does", () => {
    const { world, run } = watching();
    run(10_000);
    expect(world.asked).toBe(11);
  });

  test("a path that goes silent is dead within three seconds, told once, and alive again when it answers", () => {
    const { world, told, run } = watching();
    run(5_000);
    expect(world.rxBytes).toBe(600);
    world.echo = "silent";
    run(10_000);
    world.echo = "answered";
    run(2_000);
    expect(told.map(([, verdict]) => verdict)).toEqual(["alive", "dead", "alive"]);
    expect(told[1]?.[0]).toBeLessThanOrEqual(8_000);
    expect(told[1]?.[0]).toBeGreaterThanOrEqual(7_500);
  });

  test("a host that was asleep has no opinion", () => {
    const { world, told, run } = watching();
    run(5_000);
    world.nowMs += 3_600_000;
    // Its own network needs a moment to be there again.
    world.echo = "silent";
    run(1_900);
    world.echo = "answered";
    run(2_000);
    expect(told.map(([, verdict]) => verdict)).toEqual(["alive"]);
  });

  test("an echo that could not be sent says nothing about the path", () => {
    const { world, told, run } = watching();
    run(5_000);
    world.echo = "unsent";
    run(10_000);
    expect(told.map(([, verdict]) => verdict)).toEqual(["alive"]);
  });

  test("answers about an earlier path are not about this one", () => {
    const probe = new Probe();
    const [first] = probe.handle({ kind: "watch", path: "s/1" }, at(0));
    expect(first).toMatchObject({ do: "readReceived" });
    probe.handle({ kind: "watch", path: "s/2" }, at(10));
    const late = {
      kind: "received",
      effectId: first?.do === "readReceived" ? first.effectId : 0,
      rxBytes: 5,
    } as const;
    expect(probe.handle(late, at(20))).toEqual([]);
    expect(probe.handle({ kind: "watch", path: undefined }, at(30))).toEqual([]);
    expect(probe.nextDeadline()).toBeUndefined();
  });
});
