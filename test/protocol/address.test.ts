import fc from "fast-check";
import { Address4, Address6 } from "ip-address";
import { describe, expect, test } from "vitest";
import {
  addressAt,
  awsLengthProblem,
  contains,
  isVpcCidr,
  overlaps,
  parseAddress,
  parsePrefix,
  usableAddresses,
} from "../../protocol/address.ts";

function prefix(text: string) {
  const read = parsePrefix(text);
  if (!read.ok) throw read.failure;
  return read.value;
}

const ipv4 = fc.nat({ max: 2 ** 32 - 1 }).map((value) => Address4.fromBigInt(BigInt(value)).correctForm());
const ipv6 = fc
  .array(fc.oneof(fc.constant(0), fc.nat({ max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(":"));

describe("parsing", () => {
  test.each([
    ["10.0.1.16/28", "10.0.1.16/28"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2600:1F18:2A89:0703:0275:0:0:0/80", "2600:1f18:2a89:703:275::/80"],
    ["2600:1f18:2a89:703:275::10/124", "2600:1f18:2a89:703:275::10/124"],
    ["::/0", "::/0"],
    ["1:0:0:2::/80", "1:0:0:2::/80"],
  ])("%s is the prefix %s", (text, canonical) => {
    expect(prefix(text).text).toBe(canonical);
  });

  test.each([
    "",
    "/",
    "10.0.1.16",
    "10.0.1.16/",
    "10.0.1.16/33",
    "10.0.1.16/28/28",
    "10.0.1.16/028",
    "10.0.1.16/+28",
    " 10.0.1.16/28",
    "10.0.1.016/28",
    "10.0.1/28",
    "10.0.1.256/28",
    "2001:db8::/129",
    "2001:db8::%eth0/80",
    "::ffff:10.0.1.16/124",
    "2001:db8:::/80",
    "<html>",
    "x".repeat(10_000),
  ])("%s is no prefix", (text) => {
    const read = parsePrefix(text);
    expect(read.ok ? read.value.text : read.failure.code).toBe("prefix.malformed");
  });

  test.each([
    ["10.0.1.33/28", "10.0.1.32/28"],
    ["2600:1f18:2a89:703:275::1/80", "2600:1f18:2a89:703:275::/80"],
  ])("%s has host bits, and %s is named", (text, meant) => {
    const read = parsePrefix(text);
    expect(read.ok ? {} : { code: read.failure.code, use: read.failure.facts.use }).toEqual({
      code: "prefix.host-bits",
      use: meant,
    });
  });

  test("reads what the library writes, in the library's canonical form", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (text) => {
        const library = text.includes(":")
          ? new Address6(text).correctForm()
          : new Address4(text).correctForm();
        expect(parseAddress(text)?.text).toBe(library);
      }),
      { numRuns: 2000 },
    );
  });
});

test.each([
  ["10.0.1.16/28", undefined],
  ["10.0.1.0/27", "prefix.length"],
  ["2001:db8::/80", undefined],
  ["2001:db8::/81", "prefix.length"],
  ["2001:db8::/64", "prefix.length"],
])("AWS could assign %s: %s", (text, problem) => {
  expect(awsLengthProblem(prefix(text))?.code).toBe(problem);
});

test("containment and overlap agree with comparing first and last addresses", () => {
  const some = fc
    .tuple(fc.nat({ max: 255 }), fc.integer({ min: 24, max: 32 }))
    .map(([low, length]) =>
      prefix(`10.0.0.${length === 32 ? low : low - (low % 2 ** (32 - length))}/${length}`),
    );
  const last = (p: ReturnType<typeof prefix>) => p.first + (1n << BigInt(32 - p.length)) - 1n;
  fc.assert(
    fc.property(some, some, (a, b) => {
      expect(contains(a, b)).toBe(a.first <= b.first && last(b) <= last(a));
      expect(overlaps(a, b)).toBe(a.first <= last(b) && b.first <= last(a));
    }),
  );
  expect(overlaps(prefix("0.0.0.0/0"), prefix("::/0"))).toBe(false);
});

test("a VPC's block is of a length that AWS gives, in canonical form", () => {
  const blocks = ["10.0.0.0/16", "100.64.0.16/28", "2001:db8::/44", "2001:db8:0:10::/60"];
  expect(blocks.filter((text) => !isVpcCidr(text))).toEqual([]);
  const others = [
    ...["0.0.0.0/0", "10.0.0.0/15", "10.0.0.0/29", "10.0.0.1/16", "10.0.0.0", ""],
    ...["::/0", "2001:db8::/43", "2001:db8::/61", "2001:DB8::/56", "2001:db8::1/56"],
  ];
  expect(others.filter(isVpcCidr)).toEqual([]);
});

describe("addressAt", () => {
  test("names the sixteen addresses of a /28", () => {
    const name = addressAt(prefix("172.18.128.176/28"));
    expect([0, 1, 15].map(name)).toEqual(["172.18.128.176", "172.18.128.177", "172.18.128.191"]);
    expect(usableAddresses(prefix("172.18.128.176/28"))).toBe(16);
  });

  test("names IPv6 addresses as the library does, carries included", () => {
    const base = ipv6.map((text) =>
      prefix(`${new Address6(`${text}/112`).startAddress().correctForm()}/112`),
    );
    fc.assert(
      fc.property(base, fc.nat({ max: 65_535 }), (range, offset) => {
        expect(addressAt(range)(offset)).toBe(
          Address6.fromBigInt(range.first + BigInt(offset)).correctForm(),
        );
      }),
      { numRuns: 2000 },
    );
    expect(addressAt(prefix("2001:db8::fff0/124"))(0x1f)).toBe("2001:db8::1:f");
  });

  test("a /80 is a range of which only a bounded part is used", () => {
    expect(usableAddresses(prefix("2001:db8::/80"))).toBe(65_536);
    expect(usableAddresses(prefix("2001:db8::10/124"))).toBe(16);
  });
});
