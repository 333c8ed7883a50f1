import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Departed } from "../../agent/adapters/departed.ts";
import { failed, type Result, success } from "../../protocol/failures.ts";
import { keepingLog } from "../support/quiet-log.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Addresses, and the conntrack that is asked to forget them: each call is answered by the test. */
function scene() {
  const asked: { addresses: readonly string[]; answer: (result: Result<void>) => void }[] = [];
  const departed = new Departed(
    (addresses) => new Promise((answer) => void asked.push({ addresses, answer })),
    keepingLog().log,
  );
  return { departed, asked };
}

const refusal = failed("datapath.failing", { command: "conntrack -D", error: "cannot run" });

test("what fails is tried again with what has come since, until it works", async () => {
  const { departed, asked } = scene();
  departed.add(["10.0.1.17"]);
  departed.add(["10.0.1.18"]);
  asked[0]?.answer(refusal);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(departed.problem).toBe(refusal.failure);
  expect(asked.map(({ addresses }) => addresses.toSorted())).toEqual([
    ["10.0.1.17"],
    ["10.0.1.17", "10.0.1.18"],
  ]);
  asked[1]?.answer(success(undefined));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(2);
  expect(departed.problem).toBeUndefined();
});

test("what fails after the end is not tried again: the addresses may be others' by then", async () => {
  const { departed, asked } = scene();
  departed.add(["10.0.1.17"]);
  departed[Symbol.dispose]();
  asked[0]?.answer(refusal);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(1);
});
