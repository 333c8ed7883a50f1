import { awsLengthProblem, overlaps, type Prefix, parsePrefix } from "../../protocol/address.ts";
import { Failure, failed, type Result, success } from "../../protocol/failures.ts";
import type { InstancePools, PoolRanges } from "./admin.ts";
import { ManyProblems } from "./problem.ts";
import type { ConnectorRow, InstanceRow } from "./rows.ts";

/** A refusal names everything that is wrong, but not without end. */
const problemsMax = 32;

/**
 * The pools of one instance, checked before they are stored: each prefix canonical and of a length AWS assigns, no
 * two of the connector's overlapping. All instances of a connector are in one VPC, so one address in two places of it
 * is always a mistake. Answers the pools with empty ones left out.
 */
export function checkPools(
  pools: InstancePools,
  instance: InstanceRow,
  connector: ConnectorRow,
  others: readonly InstanceRow[],
): Result<Record<string, PoolRanges>> {
  const known = new Set(connector.groups.map(({ pool }) => pool));
  const taken = others
    .filter(({ id }) => id !== instance.id)
    .flatMap((other) => prefixesOf(other.pools, other.name));
  const checked: Record<string, PoolRanges> = {};
  const faults: Fault[] = [];
  for (const [pool, ranges] of Object.entries(pools)) {
    if (!known.has(pool)) {
      const names = [...known].join(", ") || "none";
      const facts = { field: `pools.${pool}`, problem: `pools of this connector: ${names}` };
      faults.push({ field: pool, value: undefined, failure: new Failure("admin.invalid", facts) });
    }
    for (const family of ["ipv4", "ipv6"] as const) {
      for (const [i, text] of ranges[family].entries()) {
        const prefix = checkRange(text, family, connector, taken);
        if (prefix.ok) taken.push({ prefix: prefix.value, instance: instance.name, pool });
        else faults.push({ field: `${pool}.${family}.${i}`, value: text, failure: prefix.failure });
      }
    }
    if (ranges.ipv4.length + ranges.ipv6.length > 0) checked[pool] = { ipv4: ranges.ipv4, ipv6: ranges.ipv6 };
  }
  const [first, ...more] = faults;
  if (first === undefined) return success(checked);
  return { ok: false, failure: more.length === 0 ? first.failure : allOf(first, more) };
}

interface Fault {
  readonly field: string;
  readonly value: string | undefined;
  readonly failure: Failure;
}

function allOf(first: Fault, more: readonly Fault[]): Failure {
  const problems = [first, ...more].map(({ field, value, failure }) => ({
    field,
    ...(value === undefined ? {} : { value }),
    problem: `${failure.message} [${failure.code}]`,
    fix: failure.hint,
  }));
  return new ManyProblems(first.failure.code, problems.slice(0, problemsMax));
}

interface Taken {
  readonly prefix: Prefix;
  readonly instance: string;
  readonly pool: string;
}

function checkRange(
  text: string,
  family: "ipv4" | "ipv6",
  connector: ConnectorRow,
  taken: readonly Taken[],
): Result<Prefix> {
  const prefix = checkPrefix(text, family, connector);
  if (!prefix.ok) return prefix;
  const clash = taken.find((other) => overlaps(other.prefix, prefix.value));
  if (clash === undefined) return prefix;
  const { instance, pool } = clash;
  return failed("prefix.overlap", { prefix: text, with: clash.prefix.text, instance, pool });
}

/** Whether stored pools would still be right under another rule for IPv6 ranges. */
export function poolsFit(instance: InstanceRow, connector: ConnectorRow): Result<void> {
  for (const { ipv6 } of Object.values(instance.pools)) {
    for (const text of ipv6) {
      const prefix = checkPrefix(text, "ipv6", connector);
      if (!prefix.ok) return prefix;
    }
  }
  return success(undefined);
}

function checkPrefix(text: string, family: "ipv4" | "ipv6", connector: ConnectorRow): Result<Prefix> {
  const prefix = parsePrefix(text);
  if (!prefix.ok) return prefix;
  const { value } = prefix;
  if (value.family !== (family === "ipv4" ? 4 : 6)) {
    return failed("prefix.malformed", { prefix: text, wanted: family === "ipv4" ? "IPv4" : "IPv6" });
  }
  if (value.text !== text) return failed("prefix.malformed", { prefix: text, use: value.text });
  const within = value.family === 6 && connector.ipv6PoolMatch === "within" && value.length >= 80;
  const problem = within ? undefined : awsLengthProblem(value);
  return problem === undefined ? prefix : { ok: false, failure: problem };
}

function prefixesOf(pools: Readonly<Record<string, PoolRanges>>, instance: string): Taken[] {
  return Object.entries(pools).flatMap(([pool, { ipv4, ipv6 }]) =>
    [...ipv4, ...ipv6].flatMap((text) => {
      const prefix = parsePrefix(text);
      return prefix.ok ? [{ prefix: prefix.value, instance, pool }] : [];
    }),
  );
}
