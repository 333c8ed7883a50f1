import { expect, test } from "vitest";
import { TokenBucket } from "../../controller/adapters/token-bucket.ts";

const rate = { perSecond: 10, burst: 3 };

test("gives a burst, then as fast as it fills", () => {
  const bucket = new TokenBucket(rate, 1_000);
  expect([1, 2, 3, 4].map(() => bucket.take(1_000))).toEqual([0, 0, 0, 100]);
  expect(bucket.take(1_050)).toBe(50);
  expect(bucket.take(1_100)).toBe(0);
  // It holds no more than the burst, however long nobody asks.
  expect([1, 2, 3, 4].map(() => bucket.take(100_000))).toEqual([0, 0, 0, 100]);
});

test("a debt is paid off before anything is there again", () => {
  const bucket = new TokenBucket(rate, 0);
  expect([1, 2, 3, 4, 5].map(() => bucket.owe(0))).toEqual([0, 0, 0, 100, 200]);
  expect(bucket.take(200)).toBe(100);
  expect(bucket.take(300)).toBe(0);
});
