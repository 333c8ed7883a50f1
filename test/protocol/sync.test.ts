import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../protocol/limits.ts";
import type { StateFrame } from "../../protocol/messages.ts";
import { StateReceiver, StateSender } from "../../protocol/sync.ts";

function world() {
  const source = new Map<string, unknown>();
  const copy = new Map<string, unknown>();
  const sender = new StateSender(source);
  const receiver = new StateReceiver();
  /** What a receiver does with a frame; gives back its answer to the sender. */
  const deliver = (frame: StateFrame): { ack: number } | "resync" | undefined => {
    const received = receiver.receive(frame);
    switch (received.is) {
      case "change":
        if (received.snapshot) copy.clear();
        for (const [key, value] of received.set) copy.set(key, value);
        for (const key of received.remove) copy.delete(key);
        return { ack: received.ack };
      case "repeated":
        return { ack: received.ack };
      case "part":
        return undefined;
      case "gap":
        return "resync";
      case "too-many":
        throw new Error("too many");
    }
  };
  const answer = (reply: ReturnType<typeof deliver>) => {
    if (reply === "resync") sender.resync();
    else if (reply !== undefined) sender.acked(reply.ack);
  };
  const connect = () => {
    sender.connect();
    receiver.connect();
  };
  const set = (key: string, value: unknown) => {
    if (value === undefined) source.delete(key);
    else source.set(key, value);
    sender.touch(key);
  };
  return { source, copy, sender, receiver, deliver, answer, connect, set };
}

test("a connection begins with a snapshot, also an empty one, and goes on with what changed", () => {
  const w = world();
  w.connect();
  const empty = w.sender.frames(0);
  expect(empty).toEqual([{ type: "state", from: 0, to: 1, part: 0, last: true, set: [], remove: [] }]);
  for (const frame of empty) w.answer(w.deliver(frame));
  expect(w.sender.frames(0)).toEqual([]);
  w.set("a", 1);
  w.set("b", 2);
  w.set("b", undefined);
  expect(w.sender.frames(0)).toEqual([
    { type: "state", from: 1, to: 2, part: 0, last: true, set: [["a", 1]], remove: ["b"] },
  ]);
});

test("changes gather while one is on its way", () => {
  const w = world();
  w.connect();
  const first = w.sender.frames(0);
  w.set("a", 1);
  w.set("a", 2);
  w.set("b", 1);
  expect(w.sender.frames(0)).toEqual([]);
  for (const frame of first) w.answer(w.deliver(frame));
  expect(w.sender.frames(0).map((frame) => frame.set)).toEqual([
    [
      ["a", 2],
      ["b", 1],
    ],
  ]);
});

test("a long change comes in parts and is applied at the last one", () => {
  const w = world();
  w.connect();
  for (let i = 0; i < limits.entriesPerFrameMax * 2 + 1; i++) w.source.set(`k${i}`, i);
  const frames = w.sender.frames(0);
  expect(frames.map((frame) => [frame.part, frame.last, frame.set.length])).toEqual([
    [0, false, limits.entriesPerFrameMax],
    [1, false, limits.entriesPerFrameMax],
    [2, true, 1],
  ]);
  for (const frame of frames.slice(0, 2)) expect(w.deliver(frame)).toBeUndefined();
  expect(w.copy.size).toBe(0);
  w.answer(w.deliver(frames[2] as StateFrame));
  expect(w.copy).toEqual(w.source);
});

test("a change that is never acknowledged is sent again, with what changed since", () => {
  const w = world();
  w.connect();
  for (const frame of w.sender.frames(0)) w.answer(w.deliver(frame));
  w.set("a", 1);
  w.sender.frames(0);
  w.set("b", 1);
  const dueMs = w.sender.nextDeadline() ?? Number.NaN;
  expect(w.sender.frames(dueMs - 1)).toEqual([]);
  expect(w.sender.frames(dueMs).map((frame) => frame.set)).toEqual([
    [
      ["b", 1],
      ["a", 1],
    ],
  ]);
});

describe("what is not applied", () => {
  const frame: StateFrame = {
    type: "state",
    from: 0,
    to: 1,
    part: 0,
    last: true,
    set: [["a", 1]],
    remove: [],
  };

  test("a repeated frame is acknowledged again", () => {
    const receiver = new StateReceiver();
    expect(receiver.receive(frame).is).toBe("change");
    expect(receiver.receive(frame)).toEqual({ is: "repeated", ack: 1 });
  });

  test("a change that builds on something unseen asks for a snapshot", () => {
    const receiver = new StateReceiver();
    expect(receiver.receive({ ...frame, from: 3, to: 4 })).toEqual({ is: "gap" });
  });

  test("a missing part asks for a snapshot", () => {
    const receiver = new StateReceiver();
    expect(receiver.receive({ ...frame, last: false }).is).toBe("part");
    expect(receiver.receive({ ...frame, part: 2 })).toEqual({ is: "gap" });
  });

  test("more entries than a map may have", () => {
    const receiver = new StateReceiver();
    const entries = (part: number) =>
      Array.from({ length: 128 }, (_, i): [string, unknown] => [`k${part * 128 + i}`, i]);
    let part = 0;
    let last = receiver.receive({ ...frame, last: false, set: entries(part++) });
    while (last.is === "part") last = receiver.receive({ ...frame, part, last: false, set: entries(part++) });
    expect(last.is).toBe("too-many");
    expect(part).toBe(limits.entriesMax / 128 + 1);
  });
});

type Step =
  | { do: "set"; key: number; value: number | undefined }
  | { do: "send" | "deliver" | "lose" | "repeat" | "swap" | "answer" | "loseAnswer" | "reconnect" | "wait" };

const setStep = fc.record({
  do: fc.constant("set" as const),
  key: fc.nat({ max: 300 }),
  value: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: setStep },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constantFrom("send" as const, "deliver" as const, "answer" as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("lose" as const, "repeat" as const, "swap" as const, "loseAnswer" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("reconnect" as const, "wait" as const) }) },
);

/** A sender and a receiver with a network in between that does what the steps say. */
class BadNetwork {
  readonly w = world();
  #nowMs = 0;
  #wire: StateFrame[] = [];
  #answers: ReturnType<typeof this.w.deliver>[] = [];

  readonly act: { [Name in Step["do"]]: (step: Step) => void } = {
    set: (step) => step.do === "set" && this.w.set(`k${step.key}`, step.value),
    send: () => this.#wire.push(...structuredClone(this.w.sender.frames(this.#nowMs))),
    deliver: () => {
      const frame = this.#wire.shift();
      if (frame !== undefined) this.#answers.push(this.w.deliver(frame));
    },
    lose: () => this.#wire.shift(),
    repeat: () => this.#wire.push(...this.#wire.slice(0, 1)),
    swap: () => this.#wire.reverse(),
    answer: () => this.w.answer(this.#answers.shift()),
    loseAnswer: () => this.#answers.shift(),
    reconnect: () => {
      this.#wire = [];
      this.#answers = [];
      this.w.connect();
    },
    wait: () => {
      this.#nowMs += 20_000;
    },
  };

  /** One round in which nothing is lost. */
  behave(): void {
    for (const frame of this.#wire.splice(0)) this.#answers.push(this.w.deliver(frame));
    for (const reply of this.#answers.splice(0)) this.w.answer(reply);
    this.act.wait({ do: "wait" });
    this.act.send({ do: "send" });
  }
}

test("the copy becomes the source whatever the network did, once it behaves", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), fc.nat({ max: 400 }), (steps, initial) => {
      const network = new BadNetwork();
      for (let i = 0; i < initial; i++) network.w.source.set(`k${i}`, 0);
      network.w.connect();
      for (const s of steps) network.act[s.do](s);
      for (let round = 0; round < 6; round++) network.behave();
      expect(network.w.copy).toEqual(network.w.source);
    }),
    { numRuns: 400 },
  );
});
