import { type Chain, type Firewall, priorityOf } from "./firewall.ts";
import type { HeldChain, HeldFirewall, HeldRule } from "./firewall-held.ts";
import { learnedSets } from "./firewall-learned.ts";
import { markText } from "./firewall-marks.ts";
import { commentText } from "./firewall-names.ts";

/**
 * What of the kernel's table differs from the plan, in words: `chain from_users lacks a rule`, `user 10.0.1.17 is
 * missing`. Empty when nothing does.
 *
 * How nft words a rule when it lists it differs from version to version, so a rule is recognised by its place and
 * comment; `before`, the table as it was read right after this plan was applied, tells whether its body was changed.
 */
export function driftOf(
  wanted: Firewall,
  held: HeldFirewall,
  before: HeldFirewall | undefined = undefined,
): string[] {
  const sets = [...wanted.domains].flatMap(learnedSets).flatMap((pair) => [pair.now, pair.before]);
  return [
    ...[...wanted.chains.values()].flatMap((chain) =>
      chainDrift(chain, held.chains.get(chain.name), before?.chains.get(chain.name)),
    ),
    ...strangers("chain", held.chains.keys(), wanted.chains),
    ...userDrift(wanted.users, held.users),
    ...sets.filter((name) => !held.learned.has(name)).map((name) => `set ${name} is missing`),
    ...strangers("set", held.learned.keys(), new Set(sets)),
    ...[...wanted.ports]
      .filter(([name, ports]) => held.ports.get(name) !== ports)
      .map(([name]) => `set ${name} is missing or has other ports`),
    ...strangers("set", held.ports.keys(), wanted.ports),
    ...[...wanted.counters.keys()]
      .filter((name) => !held.counters.has(name))
      .map((name) => `counter ${name} is missing`),
    ...strangers("counter", held.counters.keys(), wanted.counters),
    ...markDrift(wanted.marks, held.marks),
    ...held.foreign.map((what) => `${what} is not of the plan`),
  ];
}

/** For one line: the first few, and how many more there are. */
export function driftText(drift: readonly string[]): string {
  const shown = drift.slice(0, driftsShown).join("; ");
  return drift.length > driftsShown ? `${shown}; and ${drift.length - driftsShown} more` : shown;
}

const driftsShown = 4;

function chainDrift(wanted: Chain, held: HeldChain | undefined, before: HeldChain | undefined): string[] {
  const name = `chain ${wanted.name}`;
  if (held === undefined) return [`${name} is missing`];
  const hook =
    wanted.hook === undefined ? "" : `${wanted.hook} filter ${priorityOf[wanted.hook].number} accept`;
  if (held.hook !== hook) return [`${name} hangs at "${held.hook}" instead of "${hook}"`];
  const [is, should] = [held.rules.length, wanted.rules.length];
  if (is < should) return [`${name} lacks ${should - is} of ${should} rules`];
  if (is > should) return [`${name} has ${is - should} rules more than its ${should}`];
  return wanted.rules.flatMap(({ comment }, i) => {
    const rule = held.rules[i];
    const known = before?.rules[i];
    const same = rule?.comment === (comment && commentText(comment)) && isSameBody(rule, known);
    return same ? [] : [`${name} has another rule ${i + 1}`];
  });
}

function isSameBody(rule: HeldRule | undefined, before: HeldRule | undefined): boolean {
  return before === undefined || rule?.body === before.body;
}

function userDrift(wanted: ReadonlyMap<string, string>, held: ReadonlyMap<string, string>): string[] {
  const missing = [...wanted].flatMap(([address, chain]) => {
    const is = held.get(address);
    if (is === chain) return [];
    return [is === undefined ? `user ${address} is missing` : `user ${address} goes to ${is}`];
  });
  return [...missing, ...strangers("user", held.keys(), wanted)];
}

function markDrift(wanted: ReadonlySet<number>, held: ReadonlySet<number> | undefined): string[] {
  if (held === undefined) return ["set opened is missing"];
  return [
    ...[...wanted].filter((mark) => !held.has(mark)).map((mark) => `mark ${markText(mark)} is missing`),
    ...[...held]
      .filter((mark) => !wanted.has(mark))
      .map((mark) => `mark ${markText(mark)} is not of the plan`),
  ];
}

function strangers(kind: string, held: Iterable<string>, wanted: { has(name: string): boolean }): string[] {
  return [...held].filter((name) => !wanted.has(name)).map((name) => `${kind} ${name} is not of the plan`);
}
