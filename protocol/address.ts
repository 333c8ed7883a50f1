import { Address4, Address6 } from "ip-address";
import { type Failure, failed, type Result, success } from "./failures.ts";
import { limits } from "./limits.ts";

export type Family = 4 | 6;

/** A prefix in canonical form: no bits set behind its length, IPv6 text as RFC 5952 has it. */
export interface Prefix {
  readonly family: Family;
  readonly length: number;
  /** The first address as a number. BigInt: for comparing configuration, not for the hot path. */
  readonly first: bigint;
  /** `10.0.1.16/28`, `2001:db8::/80`: the key of this prefix everywhere. */
  readonly text: string;
}

/** Prefix lengths AWS assigns to a network interface: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-prefix-eni.html */
export const awsPrefixLength = { 4: 28, 6: 80 } as const;

/** The lengths AWS gives a VPC's blocks, shortest first: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html */
const vpcLengths = { 4: { min: 16, max: 28 }, 6: { min: 44, max: 60 } } as const;

const bitsOf = { 4: 32, 6: 128 } as const;

/**
 * Reads a prefix strictly: a length must be there, host bits must not, and no zone or IPv4-mapped form is taken.
 * Fails with `prefix.malformed` or `prefix.host-bits` (whose fact `use` is the prefix that was probably meant).
 */
export function parsePrefix(text: string): Result<Prefix> {
  const family: Family = text.includes(":") ? 6 : 4;
  const [addressText, lengthText, ...rest] = text.split("/");
  const address = parseAddress(addressText ?? "");
  if (address?.family !== family || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(lengthText ?? "")) {
    return failed("prefix.malformed", { prefix: text.slice(0, 64) });
  }
  const length = Number(lengthText);
  if (length > bitsOf[family]) return failed("prefix.malformed", { prefix: text.slice(0, 64) });
  const size = 1n << BigInt(bitsOf[family] - length);
  const first = address.value - (address.value % size);
  const canonical = `${addressText4or6(family, first)}/${length}`;
  if (first !== address.value) return failed("prefix.host-bits", { prefix: text, use: canonical });
  return success({ family, length, first, text: canonical });
}

/** The prefix of this length that holds an address. */
export function prefixAround(family: Family, address: bigint, length: number): Prefix {
  const first = address - (address % (1n << BigInt(bitsOf[family] - length)));
  return { family, length, first, text: `${addressText4or6(family, first)}/${length}` };
}

/** Whether AWS could assign this prefix: /28 or /80. Undefined when it could, else the failure that says so. */
export function awsLengthProblem(prefix: Prefix): Failure | undefined {
  const wanted = awsPrefixLength[prefix.family];
  if (prefix.length === wanted) return undefined;
  return failed("prefix.length", { prefix: prefix.text, wanted: `/${wanted}` }).failure;
}

/** Reads one address strictly (no zone, no length, no IPv4-mapped IPv6, no leading zeros in IPv4). */
export function parseAddress(text: string): { family: Family; value: bigint; text: string } | undefined {
  if (text.length > 45 || text.includes("/") || text.includes("%")) return undefined;
  if (text.includes(":")) {
    if (!Address6.isValid(text) || text.includes(".")) return undefined;
    const value = new Address6(text).bigInt();
    return { family: 6, value, text: addressText4or6(6, value) };
  }
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text) || !Address4.isValid(text)) return undefined;
  return { family: 4, value: new Address4(text).bigInt(), text };
}

/** Whether a text is a block that a VPC can have, in canonical form. */
export function isVpcCidr(text: string): boolean {
  const prefix = parsePrefix(text);
  if (!prefix.ok || prefix.value.text !== text) return false;
  const { family, length } = prefix.value;
  return length >= vpcLengths[family].min && length <= vpcLengths[family].max;
}

export function contains(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false;
  return inner.first >> hostBits(outer) === outer.first >> hostBits(outer);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return contains(a, b) || contains(b, a);
}

export function containsAddress(prefix: Prefix, addressText: string): boolean {
  const address = parseAddress(addressText);
  if (address?.family !== prefix.family) return false;
  return address.value >> hostBits(prefix) === prefix.first >> hostBits(prefix);
}

/** How many addresses of a prefix are used: all 16 of a /28, at most `addressesPerRangeMax` of an IPv6 range. */
export function usableAddresses(prefix: Prefix): number {
  const bits = bitsOf[prefix.family] - prefix.length;
  return bits >= 31 ? limits.addressesPerRangeMax : Math.min(2 ** bits, limits.addressesPerRangeMax);
}

/**
 * The address at an offset in a prefix, as text. Made once per prefix so that naming an address is a few integer
 * operations and one string: this runs for every grant.
 */
export function addressAt(prefix: Prefix): (offset: number) => string {
  if (prefix.family === 4) {
    const first = Number(prefix.first);
    return (offset) => ipv4Text(first + offset);
  }
  const groups = ipv6Groups(prefix.first);
  // All but the last group changes once in 65,536 addresses, and how it is written does not depend on a last group that
  // is not zero: so that text is kept.
  let head = { carry: -1, text: "" };
  return (offset) => {
    const sum = (groups[7] ?? 0) + offset;
    const last = sum % 65_536;
    const carry = Math.floor(sum / 65_536);
    if (last === 0) return ipv6Text([...addCarry(groups, carry), 0]);
    if (head.carry !== carry) head = { carry, text: ipv6Text([...addCarry(groups, carry), 1]).slice(0, -1) };
    return head.text + last.toString(16);
  };
}

/** The first seven groups, with what the last one carried over. */
function addCarry(groups: readonly number[], carryOver: number): number[] {
  const moved = groups.slice(0, 7);
  let carry = carryOver;
  for (let i = 6; i >= 0 && carry > 0; i--) {
    const sum = (moved[i] ?? 0) + carry;
    moved[i] = sum % 65_536;
    carry = Math.floor(sum / 65_536);
  }
  return moved;
}

function hostBits(prefix: Prefix): bigint {
  return BigInt(bitsOf[prefix.family] - prefix.length);
}

function addressText4or6(family: Family, value: bigint): string {
  return family === 4 ? ipv4Text(Number(value)) : ipv6Text(ipv6Groups(value));
}

function ipv4Text(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function ipv6Groups(value: bigint): number[] {
  return Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as `::`. */
function ipv6Text(groups: readonly number[]): string {
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  return start < 0 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`;
}
