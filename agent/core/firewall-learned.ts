import { safeName } from "./firewall-names.ts";

/*
 * Addresses learned for a domain
 *
 * dnsmasq adds an answer's addresses to a set before the device has the answer, but only from answers that it had to
 * fetch, and adding an address that is there already does not renew a time-out (Linux 6.18, nft 1.0.6: measured). A set
 * that lets its elements expire therefore forgets addresses that devices still hold. So the sets have no time-outs, and
 * there are two: dnsmasq fills `now`, rules ask both, and once in `learnedForMs` what is in `now` becomes all that is
 * in `before`. An address is then known for at least that long after the last answer that named it, and at most twice
 * as long; devices and dnsmasq's cache are told no life time above it. While the agent is away nothing is forgotten.
 */

/** How long an answer is good for at most, ms: the ceiling on every life time, and the step in which addresses age. */
export const learnedForMs = 300_000;

export interface LearnedSets {
  readonly family: 4 | 6;
  /** Filled by dnsmasq. */
  readonly now: string;
  readonly before: string;
}

/** BOUNDED: addresses in one set; dnsmasq's further ones are refused by the kernel. */
export const learnedMax = 65_536;

export function learnedSets(domain: string): readonly [LearnedSets, LearnedSets] {
  const name = safeName("", domain);
  return [
    { family: 4, now: `dns4_${name}`, before: `old4_${name}` },
    { family: 6, now: `dns6_${name}`, before: `old6_${name}` },
  ];
}

/** The addresses in the sets of learned addresses, by set, as read from the kernel. */
export type Learned = ReadonlyMap<string, readonly string[]>;

/**
 * One step of ageing as nft text, or undefined when there is nothing to age. Only what was read is removed: an
 * address that dnsmasq adds in between stays in `now`.
 */
export function ageText(domains: Iterable<string>, learned: Learned): string | undefined {
  const lines: string[] = [];
  for (const { now, before } of [...domains].flatMap(learnedSets)) {
    const recent = learned.get(now) ?? [];
    const kept = new Set(recent);
    const known = learned.get(before) ?? [];
    lines.push(...elements("add", before, recent));
    lines.push(
      ...elements(
        "delete",
        before,
        known.filter((address) => !kept.has(address)),
      ),
    );
    lines.push(...elements("delete", now, recent));
  }
  return lines.length === 0 ? undefined : `${lines.join("\n")}\n`;
}

function elements(verb: "add" | "delete", set: string, addresses: readonly string[]): string[] {
  return addresses.length === 0 ? [] : [`${verb} element inet connector ${set} { ${addresses.join(", ")} }`];
}
