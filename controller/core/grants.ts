import { contains, type Prefix, parseAddress, parsePrefix } from "../../protocol/address.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { PoolRanges } from "./admin.ts";
import type { Model } from "./model.ts";
import type { SessionPlace, SessionRow } from "./rows.ts";

type Granted = SessionOutcome & { outcome: "granted" };
type Addresses = Pick<Granted, "ipv4" | "ipv6">;

/**
 * Whether an instance may grant what it grants: addresses of the pool it has for the session, which no other session of
 * it holds. Instances are not taken at their word here, because a device is told what stands in the model, and an
 * address in two places of a VPC is the one thing that must never be. Pools of a connector do not overlap, and a session
 * whose range is taken away leaves its place with it, so looking at the instance's own sessions is enough.
 *
 * Made anew for each pass: what the pass itself gives is counted, too.
 */
export class Grants {
  readonly #model: Model;
  /** Address by instance, to the session that gets it in this pass. */
  readonly #given = new Map<string, string>();

  constructor(model: Model) {
    this.#model = model;
  }

  /** Answers whether the grant is good; if it is, its addresses are the session's. */
  accept({ id, place }: SessionRow, grant: Granted): boolean {
    if (place.is === "waiting") return false;
    const { instance, pool } = place;
    if (!isInPool(grant, this.#model.instances.get(instance)?.pools, pool)) return false;
    const addresses = [grant.ipv4, grant.ipv6].filter((address) => address !== undefined);
    if (addresses.some((address) => this.#isTaken(instance, address, id))) return false;
    for (const address of addresses) this.#given.set(`${instance}/${address}`, id);
    return true;
  }

  #isTaken(instance: string, address: string, session: string): boolean {
    const holder = this.#given.get(`${instance}/${address}`) ?? this.#model.holderOf(instance, address);
    return holder !== undefined && holder !== session;
  }
}

/** Whether a session's addresses are in its instance's ranges, as they are or as they would be. */
export function isInRanges(place: SessionPlace, pools: Readonly<Record<string, PoolRanges>>): boolean {
  return place.is !== "attached" || isInPool(place, pools, place.pool);
}

/** Whether addresses are of a pool's ranges. */
export function isInPool(
  { ipv4, ipv6 }: Addresses,
  pools: Readonly<Record<string, PoolRanges>> | undefined,
  pool: string,
): boolean {
  const ranges = pools !== undefined && Object.hasOwn(pools, pool) ? pools[pool] : undefined;
  if (ranges === undefined || (ipv4 === undefined && ipv6 === undefined)) return false;
  const prefixes = prefixesOf(ranges);
  return [ipv4, ipv6].every((address) => address === undefined || isInOne(address, prefixes));
}

function isInOne(text: string, prefixes: readonly Prefix[]): boolean {
  const address = parseAddress(text);
  // Addresses are compared as text, so only the canonical text is one.
  if (address === undefined || address.text !== text) return false;
  const { family, value: first } = address;
  const host = { family, length: family === 4 ? 32 : 128, first, text };
  return prefixes.some((prefix) => contains(prefix, host));
}

/** Read once per stored row. */
const read = new WeakMap<PoolRanges, readonly Prefix[]>();

function prefixesOf(ranges: PoolRanges): readonly Prefix[] {
  const known = read.get(ranges);
  if (known !== undefined) return known;
  const prefixes = [...ranges.ipv4, ...ranges.ipv6].flatMap((text) => {
    const prefix = parsePrefix(text);
    return prefix.ok ? [prefix.value] : [];
  });
  read.set(ranges, prefixes);
  return prefixes;
}
