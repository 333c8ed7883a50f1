import { z } from "zod";
import { failed, type Result, success } from "../../protocol/failures.ts";
import type { Learned } from "./firewall-learned.ts";

/** Table `inet connector` as the kernel holds it, read from `nft -j list table inet connector`. */
export interface HeldFirewall {
  readonly users: ReadonlyMap<string, string>;
  readonly counters: ReadonlyMap<string, HeldCounter>;
  readonly learned: Learned;
  readonly chains: ReadonlyMap<string, HeldChain>;
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

/** Reads what nft says. Kinds of object that are not ours to have are told of as chains that nobody knows. */
export function readHeld(json: string): Result<HeldFirewall> {
  const listing = parsed(json);
  if (listing === undefined) {
    return failed("datapath.failing", {
      command: "nft -j list table",
      error: "the answer is not understood",
    });
  }
  const users = new Map<string, string>();
  const counters = new Map<string, HeldCounter>();
  const learned = new Map<string, readonly string[]>();
  const chains = new Map<string, { hook: string; rules: HeldRule[] }>();
  for (const { map, counter, set, chain, rule } of listing.nftables) {
    for (const [address, { goto }] of map?.elem ?? []) users.set(address, goto?.target ?? "no chain");
    if (counter !== undefined) counters.set(counter.name, { packets: counter.packets, bytes: counter.bytes });
    if (set !== undefined) learned.set(set.name, (set.elem ?? []).map(addressOf));
    if (chain !== undefined) chains.set(chain.name, { hook: hookOf(chain), rules: [] });
    if (rule !== undefined) {
      chains.get(rule.chain)?.rules.push({ comment: rule.comment, body: JSON.stringify(rule.expr) });
    }
  }
  return success({ users, counters, learned, chains });
}

const Address = z.string().max(64);

const Listing = z.object({
  nftables: z.array(
    z.object({
      map: z
        .object({
          elem: z
            .array(z.tuple([Address, z.object({ goto: z.object({ target: z.string() }).optional() })]))
            .optional(),
        })
        .optional(),
      counter: z.object({ name: z.string(), packets: z.number(), bytes: z.number() }).optional(),
      set: z
        .object({
          name: z.string(),
          elem: z.array(z.union([Address, z.object({ elem: z.object({ val: Address }) })])).optional(),
        })
        .optional(),
      chain: z
        .object({
          name: z.string(),
          hook: z.string().optional(),
          type: z.string().optional(),
          prio: z.number().optional(),
          policy: z.string().optional(),
        })
        .optional(),
      rule: z
        .object({ chain: z.string(), comment: z.string().optional(), expr: z.array(z.unknown()) })
        .optional(),
    }),
  ),
});

function parsed(json: string): z.infer<typeof Listing> | undefined {
  try {
    return Listing.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

/** An element that somebody gave a time-out is an object. */
function addressOf(element: string | { elem: { val: string } }): string {
  return typeof element === "string" ? element : element.elem.val;
}

function hookOf(chain: {
  hook?: string | undefined;
  type?: string | undefined;
  prio?: number | undefined;
  policy?: string | undefined;
}): string {
  return chain.hook === undefined ? "" : `${chain.hook} ${chain.type} ${chain.prio} ${chain.policy}`;
}
