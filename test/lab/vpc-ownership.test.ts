import { expect, test } from "vitest";
import { Ownership, type PrefixOwner } from "../../lab/vpc/ownership.ts";

const prefix = "172.18.140.16/28";
const owner = (n: number): PrefixOwner => ({
  interfaceId: `eni-${n}`,
  link: `i${n}`,
  ipv4: `172.18.139.${n}`,
  ipv6: `2600:1f18:2a89:703::${n}`,
});
const [one, two] = [owner(1), owner(2)];

function routedAt(ownership: Ownership, nowMs: number): string | undefined {
  return ownership.routed(nowMs).get(prefix)?.link;
}

test("packets follow an assignment, and its end, after the propagation", () => {
  const ownership = new Ownership();
  ownership.assign(prefix, one, 0, 100);
  expect([99, 100].map((at) => routedAt(ownership, at))).toEqual([undefined, "i1"]);
  expect(ownership.nextChangeMs(0)).toBe(100);
  expect(ownership.nextChangeMs(100)).toBeUndefined();
  ownership.unassign(prefix, one, 200, 100);
  expect([299, 300].map((at) => routedAt(ownership, at))).toEqual(["i1", undefined]);
  expect(ownership.nextChangeMs(200)).toBe(300);
});

test("a prefix that moves goes to one interface at any time, and ends at the new one", () => {
  const ownership = new Ownership();
  ownership.assign(prefix, one, 0, 0);
  ownership.unassign(prefix, one, 10, 100);
  ownership.assign(prefix, two, 20, 30);
  expect([10, 49, 50, 200].map((at) => routedAt(ownership, at))).toEqual(["i1", "i1", "i2", "i2"]);
});

test("EC2 gives no prefix twice, and takes none from whom it does not belong to", () => {
  const ownership = new Ownership();
  ownership.assign(prefix, one, 0, 100);
  expect(() => ownership.assign(prefix, two, 1, 0)).toThrow(new RangeError(`${prefix}: assigned to eni-1`));
  expect(() => ownership.unassign(prefix, two, 1, 0)).toThrow(
    new RangeError(`${prefix}: not assigned to eni-2`),
  );
  expect(ownership.ownerOf(prefix)).toBe(one);
});
