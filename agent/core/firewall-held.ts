import { z } from "zod";
import { parseAddress } from "../../protocol/address.ts";
import { failed, type Result, success } from "../../protocol/failures.ts";
import type { Learned } from "./firewall-learned.ts";

/** Table `inet connector` as the kernel holds it, read from `nft -j list table inet connector`. */
export interface HeldFirewall {
  readonly users: ReadonlyMap<string, string>;
  readonly counters: ReadonlyMap<string, HeldCounter>;
  readonly learned: Learned;
  /** Sets of ports, and what is in each: `80, 8000-8010`. */
  readonly ports: ReadonlyMap<string, string>;
  /** Set `opened`; undefined when there is none. */
  readonly marks: ReadonlySet<number> | undefined;
  readonly chains: ReadonlyMap<string, HeldChain>;
  /** What is in the table and none of the above, in words: `flag of the table`, `flowtable fast`. */
  readonly foreign: readonly string[];
}

export interface HeldCounter {
  readonly packets: number;
  readonly bytes: number;
}

export interface HeldChain {
  /** `forward filter 0 accept`, or nothing for a chain that is sent to. */
  readonly hook: string;
  readonly rules: readonly HeldRule[];
}

export interface HeldRule {
  readonly comment: string | undefined;
  /** The rule in nft's own words: for telling whether it is the one that was read before. */
  readonly body: string;
}

/** Reads what nft says. What somebody put there that no plan has is told in words, however it looks: never a failure. */
export function readHeld(json: string): Result<HeldFirewall> {
  const listing = parsed(json);
  if (listing === undefined) {
    return failed("datapath.failing", {
      command: "nft -j list table",
      error: "the answer is not understood",
    });
  }
  const objects = listing.nftables;
  const chains = new Map<string, { hook: string; rules: HeldRule[] }>();
  for (const { chain, rule } of objects) {
    if (chain !== undefined) chains.set(chain.name, { hook: hookOf(chain), rules: [] });
    if (rule !== undefined) {
      chains.get(rule.chain)?.rules.push({ comment: rule.comment, body: JSON.stringify(rule.expr) });
    }
  }
  const users = objects.flatMap(({ map }) => (map !== undefined && isOurs(map) ? (map.elem ?? []) : []));
  const counters = objects.flatMap(({ counter }) => counter ?? []);
  const sets = objects.flatMap(({ set }) => set ?? []);
  const opened = sets.find(({ name }) => name === "opened");
  const ports = sets.filter(({ name }) => name.startsWith("ports_"));
  const learned = sets.filter((set) => set !== opened && !ports.includes(set));
  return success({
    users: new Map(users.map(([key, verdict]) => [wordOf(key), targetOf(verdict)])),
    counters: new Map(counters.map(({ name, packets, bytes }) => [name, { packets, bytes }])),
    learned: new Map(learned.map(({ name, elem = [] }) => [name, elem.map(wordOf)])),
    ports: new Map(ports.map(({ name, elem = [] }) => [name, elem.map(portsOf).join(", ")])),
    marks: opened && new Set((opened.elem ?? []).map(Number)),
    chains,
    foreign: [...objects.flatMap(foreignOf), ...learned.flatMap(kindProblem)],
  });
}

/** One word or several. */
const Words = z.union([z.string().transform((word) => [word]), z.array(z.string())]);

const Listing = z.object({
  nftables: z.array(
    z.looseObject({
      table: z.object({ flags: z.unknown().optional() }).optional(),
      map: z
        .object({ name: z.string(), elem: z.array(z.tuple([z.unknown(), z.unknown()])).optional() })
        .optional(),
      counter: z.object({ name: z.string(), packets: z.number(), bytes: z.number() }).optional(),
      set: z
        .object({
          name: z.string(),
          type: z.unknown().optional(),
          flags: Words.optional(),
          timeout: z.unknown().optional(),
          elem: z.array(z.unknown()).optional(),
        })
        .optional(),
      chain: z
        .object({
          name: z.string(),
          hook: z.string().optional(),
          type: z.string().optional(),
          prio: z.union([z.number(), z.string()]).optional(),
          policy: z.string().optional(),
        })
        .optional(),
      rule: z
        .object({ chain: z.string(), comment: z.string().optional(), expr: z.array(z.unknown()) })
        .optional(),
    }),
  ),
});

type Listed = z.infer<typeof Listing>["nftables"][number];

const Timed = z.object({ elem: z.object({ val: z.string() }) });
const PortRange = z.object({ range: z.tuple([z.number(), z.number()]) });
const Goto = z.object({ goto: z.object({ target: z.string() }) });
const Named = z.object({ name: z.string() });

function parsed(json: string): z.infer<typeof Listing> | undefined {
  try {
    return Listing.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

function isOurs({ name }: { readonly name: string }): boolean {
  return name === "users4" || name === "users6";
}

function foreignOf({ table, map, counter, set, chain, rule, metainfo, ...others }: Listed): string[] {
  return [
    // Which one, nft 1.0.6 does not get right in JSON. `dormant` is one: chains that no packet meets.
    ...(table?.flags === undefined ? [] : ["flag of the table"]),
    ...(map === undefined || isOurs(map) ? [] : [`map ${map.name}`]),
    ...Object.entries(others).map(([kind, object]) => `${kind} ${nameOf(object)}`),
  ];
}

/** Addresses that dnsmasq adds need no time-out; a set that gives them one forgets what devices hold. */
function kindProblem({ name, type, flags = [], timeout }: NonNullable<Listed["set"]>): string[] {
  if (!/^(dns|old)[46]_/.test(name)) return [];
  const isAsMade = /^ipv[46]_addr$/.test(String(type)) && flags.join() === "timeout" && timeout === undefined;
  return isAsMade ? [] : [`kind of set ${name}`];
}

/** An element that somebody gave a time-out or a comment is an object; what else there can be is shown as it is. */
function wordOf(element: unknown): string {
  if (typeof element === "string") return element;
  return Timed.safeParse(element).data?.elem.val ?? JSON.stringify(element);
}

function portsOf(element: unknown): string {
  return PortRange.safeParse(element).data?.range.join("-") ?? wordOf(element);
}

function targetOf(verdict: unknown): string {
  return Goto.safeParse(verdict).data?.goto.target ?? "no chain";
}

function nameOf(object: unknown): string {
  return Named.safeParse(object).data?.name ?? "without a name";
}

function hookOf(chain: {
  hook?: string | undefined;
  type?: string | undefined;
  prio?: number | string | undefined;
  policy?: string | undefined;
}): string {
  return chain.hook === undefined ? "" : `${chain.hook} ${chain.type} ${chain.prio} ${chain.policy}`;
}

/** What may be given back to a new table: addresses, and nothing else that somebody put among them. */
export function learnedOf(held: HeldFirewall): Learned {
  return new Map(
    [...held.learned].map(([set, words]) => [set, words.filter((word) => parseAddress(word) !== undefined)]),
  );
}
