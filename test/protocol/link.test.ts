import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FailureCode, failureCodes, failureEntry } from "../../protocol/failures.ts";
import { limits } from "../../protocol/limits.ts";
import { Link, type LinkEffect, type LinkInput, type LinkState, linkDefaults } from "../../protocol/link.ts";
import type { ControllerMessage } from "../../protocol/messages.ts";

const challenge: ControllerMessage = {
  type: "challenge",
  nonce: "N".repeat(43),
  version: 1,
  minimumVersion: 1,
  controller: "00000000-0000-4000-8000-000000000001",
  wallMs: 0,
};
const welcome: ControllerMessage = {
  type: "welcome",
  version: 1,
  heartbeatMs: 5000,
  silentMs: 15_000,
  name: "con",
};

class World {
  nowMs = 0;
  readonly link: Link;

  constructor(random = () => 1) {
    this.link = new Link({ ...linkDefaults, random });
  }

  do(input: LinkInput): readonly LinkEffect[] {
    return this.link.handle(input, { monotonicMs: this.nowMs, wallMs: this.nowMs });
  }

  /** Goes to the next deadline and ticks there. */
  wait(): readonly LinkEffect[] {
    this.nowMs = this.link.nextDeadline() ?? this.nowMs;
    return this.do({ kind: "tick" });
  }

  get dialId(): number {
    const { state } = this.link;
    return "dialId" in state ? state.dialId : -1;
  }

  receive(message: ControllerMessage): readonly LinkEffect[] {
    return this.do({ kind: "received", dialId: this.dialId, message });
  }

  close(why: number | FailureCode, retryAfterMs?: number): readonly LinkEffect[] {
    return this.do({
      kind: "closed",
      dialId: this.dialId,
      why,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
}

const reach: Record<LinkState["kind"], () => World> = {
  idle: () => new World(),
  dialling: () => started(reach.idle()),
  proving: () => after(reach.dialling(), (w) => w.receive(challenge)),
  open: () => after(reach.proving(), (w) => w.receive(welcome)),
  waiting: () => after(reach.dialling(), (w) => w.close("link.unreachable")),
  stopped: () => after(reach.dialling(), (w) => w.close("link.removed")),
};

function started(w: World): World {
  w.do({ kind: "start" });
  return w;
}

function after(w: World, act: (w: World) => unknown): World {
  act(w);
  return w;
}

const inputs = {
  start: (w: World) => w.do({ kind: "start" }),
  retry: (w: World) => w.do({ kind: "retry" }),
  stop: (w: World) => w.do({ kind: "stop" }),
  goodbye: (w: World) => w.do({ kind: "stop", goodbye: "leaving" }),
  urgent: (w: World) => w.do({ kind: "urgent", isOn: true }),
  challenge: (w: World) => w.receive(challenge),
  welcome: (w: World) => w.receive(welcome),
  enrolled: (w: World) =>
    w.receive({ type: "enrolled", instance: challenge.controller, name: "n", connector: "c" }),
  state: (w: World) => w.receive({ type: "state", from: 0, to: 1, part: 0, last: true, set: [], remove: [] }),
  pong: (w: World) => w.receive({ type: "pong", id: 1 }),
  refused: (w: World) => w.receive({ type: "refused", code: "otp.used", text: "" }),
  unreadable: (w: World) => w.do({ kind: "unreadable", dialId: w.dialId, why: "protocol.not-json" }),
  lost: (w: World) => w.close(1006),
  staleClosed: (w: World) => w.do({ kind: "closed", dialId: 999, why: 1006 }),
  send: (w: World) => w.do({ kind: "send", message: { type: "resync" } }),
  breach: (w: World) => w.do({ kind: "breach", close: "malformed", why: "protocol.malformed" }),
  early: (w: World) => w.do({ kind: "tick" }),
  deadline: (w: World) => w.wait(),
} satisfies Record<string, (w: World) => readonly LinkEffect[]>;

/** State afterwards, then what it did. */
const table: Record<LinkState["kind"], Record<keyof typeof inputs, string>> = {
  idle: {
    start: "dialling: dial",
    retry: "idle",
    stop: "idle",
    goodbye: "idle",
    urgent: "idle",
    challenge: "idle",
    welcome: "idle",
    enrolled: "idle",
    state: "idle",
    pong: "idle",
    refused: "idle",
    unreadable: "idle",
    lost: "idle",
    staleClosed: "idle",
    send: "idle",
    breach: "idle",
    early: "idle",
    deadline: "idle",
  },
  dialling: {
    start: "dialling",
    retry: "dialling",
    stop: "idle: hangUp",
    goodbye: "idle: hangUp",
    urgent: "dialling",
    challenge: "proving: prove",
    welcome: "waiting: hangUp",
    enrolled: "waiting: hangUp",
    state: "waiting: hangUp",
    pong: "waiting: hangUp",
    refused: "dialling: refused",
    unreadable: "waiting: hangUp",
    lost: "waiting",
    staleClosed: "dialling",
    send: "dialling",
    breach: "dialling",
    early: "dialling",
    deadline: "waiting: hangUp",
  },
  proving: {
    start: "proving",
    retry: "proving",
    stop: "idle: hangUp",
    goodbye: "idle: hangUp",
    urgent: "proving",
    challenge: "waiting: hangUp",
    welcome: "open: up",
    enrolled: "proving: deliver",
    state: "waiting: hangUp",
    pong: "waiting: hangUp",
    refused: "proving: refused",
    unreadable: "waiting: hangUp",
    lost: "waiting",
    staleClosed: "proving",
    send: "proving",
    breach: "proving",
    early: "proving",
    deadline: "waiting: hangUp",
  },
  open: {
    start: "open",
    retry: "open",
    stop: "idle: hangUp",
    goodbye: "idle: send hangUp",
    urgent: "open",
    challenge: "waiting: hangUp down",
    welcome: "waiting: hangUp down",
    enrolled: "waiting: hangUp down",
    state: "open: deliver",
    pong: "open",
    refused: "open: refused",
    unreadable: "waiting: hangUp down",
    lost: "waiting: down",
    staleClosed: "open",
    send: "open: send",
    breach: "waiting: hangUp down",
    early: "open",
    deadline: "open: send",
  },
  waiting: {
    start: "waiting",
    retry: "dialling: dial",
    stop: "idle",
    goodbye: "idle",
    urgent: "waiting",
    challenge: "waiting",
    welcome: "waiting",
    enrolled: "waiting",
    state: "waiting",
    pong: "waiting",
    refused: "waiting",
    unreadable: "waiting",
    lost: "waiting",
    staleClosed: "waiting",
    send: "waiting",
    breach: "waiting",
    early: "waiting",
    deadline: "dialling: dial",
  },
  stopped: {
    start: "stopped",
    retry: "dialling: dial",
    stop: "idle",
    goodbye: "idle",
    urgent: "stopped",
    challenge: "stopped",
    welcome: "stopped",
    enrolled: "stopped",
    state: "stopped",
    pong: "stopped",
    refused: "stopped",
    unreadable: "stopped",
    lost: "stopped",
    staleClosed: "stopped",
    send: "stopped",
    breach: "stopped",
    early: "stopped",
    deadline: "dialling: dial",
  },
};

describe.each(Object.entries(table))("%s", (state, row) => {
  test.each(Object.entries(row))("%s → %s", (input, expected) => {
    const w = reach[state as LinkState["kind"]]();
    expect(w.link.state.kind).toBe(state);
    const effects = inputs[input as keyof typeof inputs](w);
    expect([w.link.state.kind, effects.map((effect) => effect.do).join(" ")].filter(Boolean).join(": ")).toBe(
      expected,
    );
  });
});

describe("waiting", () => {
  test("doubles up to the cap, with jitter over the upper half", () => {
    for (const [random, share] of [
      [() => 1, 1],
      [() => 0, 0.5],
    ] as const) {
      const w = started(new World(random));
      const waits: number[] = [];
      for (let i = 0; i < 10; i++) {
        w.close("link.unreachable");
        waits.push((w.link.nextDeadline() ?? 0) - w.nowMs);
        w.wait();
      }
      const whole = [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
      expect(waits).toEqual(whole.map((ms) => ms * share));
    }
  });

  test("starts anew only after a stable link", () => {
    const waitAfter = (upMs: number) => {
      const w = reach.dialling();
      for (let i = 0; i < 5; i++) after(w, (w) => w.close("link.unreachable")).wait();
      w.receive(challenge);
      w.receive(welcome);
      const endMs = w.nowMs + upMs;
      while (w.nowMs < endMs) {
        w.nowMs = Math.min(endMs, w.link.nextDeadline() ?? endMs);
        w.do({ kind: "tick" });
        w.receive({ type: "pong", id: 1 });
      }
      w.close(1006);
      return (w.link.nextDeadline() ?? 0) - w.nowMs;
    };
    expect(waitAfter(linkDefaults.stableAfterMs - 1)).toBe(8000);
    expect(waitAfter(linkDefaults.stableAfterMs)).toBe(250);
  });

  test("what the controller asked for wins, in a refusal and in Retry-After, spread over half of it more", () => {
    const refusal = reach.proving();
    refusal.receive({ type: "refused", code: "link.throttled", text: "", retryAfterMs: 77_000 });
    refusal.close(4000);
    expect(refusal.link.state).toMatchObject({ kind: "waiting", why: "link.throttled", retryAtMs: 115_500 });
    const header = reach.dialling();
    header.close("link.throttled", 5000);
    expect(header.link.state).toMatchObject({ kind: "waiting", why: "link.throttled", retryAtMs: 7500 });
    const soonest = new World(() => 0);
    soonest.do({ kind: "start" });
    soonest.close("link.throttled", 5000);
    expect(soonest.link.state).toMatchObject({ kind: "waiting", retryAtMs: 5000 });
  });
});

describe("the way back of many", () => {
  const lost = (random: () => number, returnWithinMs = 20_000) => {
    const w = new World(random);
    w.do({ kind: "start" });
    w.receive(challenge);
    w.receive({ ...welcome, returnWithinMs } as ControllerMessage);
    w.close(1006);
    return w;
  };

  test("each comes at a moment of its own, in every wait until it is welcome again", () => {
    const w = lost(() => 0.7);
    expect(w.link.nextDeadline()).toBe(14_000);
    w.wait();
    w.close("link.unreachable");
    expect(w.link.nextDeadline()).toBe(28_000);
    w.wait();
    w.receive(challenge);
    w.receive(welcome);
    w.close(1006);
    expect((w.link.nextDeadline() ?? 0) - w.nowMs).toBeLessThanOrEqual(1_000);
  });

  test("nobody comes before its backoff, nor before what it was asked to wait", () => {
    expect(lost(() => 0).link.nextDeadline()).toBe(125);
    const w = lost(() => 0.1);
    w.wait();
    w.close("link.throttled", 5_000);
    expect((w.link.nextDeadline() ?? 0) - w.nowMs).toBe(5_250);
    w.do({ kind: "urgent", isOn: true });
    expect((w.link.nextDeadline() ?? 0) - w.nowMs).toBe(5_250);
  });

  test("who needs the controller now does not wait among them", () => {
    const w = lost(() => 0.5);
    w.nowMs = 3_000;
    w.do({ kind: "urgent", isOn: true });
    expect(w.wait()).toMatchObject([{ do: "dial" }]);
    expect(w.nowMs).toBe(3_000);
    w.close("link.unreachable");
    expect((w.link.nextDeadline() ?? 0) - w.nowMs).toBeLessThanOrEqual(500);
    w.wait();
    w.do({ kind: "urgent", isOn: false });
    w.close("link.unreachable");
    expect((w.link.nextDeadline() ?? 0) - w.nowMs).toBe(10_000);
  });
});

test("who is to try again while a refusal is being closed tries when it is", () => {
  const w = new World();
  w.do({ kind: "start" });
  w.receive(challenge);
  w.receive({ type: "refused", code: "otp.used", text: "" });
  expect(w.do({ kind: "retry" })).toEqual([]);
  w.close(4000);
  expect(w.link.state).toMatchObject({ kind: "waiting", retryAtMs: w.nowMs });
  expect(w.wait()).toMatchObject([{ do: "dial" }]);
});

test.each(failureCodes)("a refusal with %s stops or waits as its retry class says", (code) => {
  const w = reach.proving();
  w.receive({ type: "refused", code, text: "" });
  w.close(4000);
  const { retry } = failureEntry(code);
  expect(w.link.state.kind).toBe(retry === "backoff" ? "waiting" : "stopped");
  if (retry === "never") expect(w.link.nextDeadline()).toBeUndefined();
  if (retry === "onChange") expect(w.link.nextDeadline()).toBe(linkDefaults.recheckAfterMs);
});

test("a silent controller is left after silentMs, and a heartbeat keeps the link", () => {
  const w = reach.open();
  expect(w.wait()).toMatchObject([{ do: "send", message: { type: "ping" } }]);
  w.receive({ type: "pong", id: 1 });
  expect(w.wait()).toMatchObject([{ do: "send" }]);
  expect(w.wait()).toMatchObject([{ do: "send" }]);
  expect(w.wait()).toMatchObject([
    { do: "hangUp", close: "silent" },
    { do: "down", why: "link.silent" },
  ]);
  expect(w.nowMs).toBe(5000 + 15_000);
});

test("an unanswered dial and an unanswered proof are given up", () => {
  const dial = reach.dialling();
  dial.wait();
  expect([dial.nowMs, dial.link.state]).toMatchObject([
    linkDefaults.dialWithinMs,
    { why: "link.unreachable" },
  ]);
  const proof = reach.proving();
  proof.wait();
  expect([proof.nowMs, proof.link.state]).toMatchObject([limits.proveWithinMs, { why: "link.silent" }]);
});

test("no sequence of inputs leaves two connections or a link that never tries again", () => {
  const names = Object.keys(inputs).filter(
    (name) => name !== "stop" && name !== "goodbye",
  ) as (keyof typeof inputs)[];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...names), { maxLength: 60 }), (sequence) => {
      const w = new World();
      const open = new Set<number>();
      for (const name of ["start" as const, ...sequence]) {
        const before = w.dialId;
        for (const effect of inputs[name](w)) {
          if (effect.do === "dial") {
            open.clear();
            open.add(effect.dialId);
          }
        }
        expect(open.size).toBeLessThanOrEqual(1);
        expect(w.dialId === -1 || w.dialId >= before).toBe(true);
        const { state } = w.link;
        if (state.kind !== "stopped") expect(w.link.nextDeadline()).toBeDefined();
        else expect(failureEntry(state.why).retry).not.toBe("backoff");
      }
    }),
  );
});
