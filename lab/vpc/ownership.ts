// Which interface a VPC routes each prefix to, over time. EC2 accepts a change at once; packets follow after the routes'
// own propagation, which is not the metadata service's. Pure: time is handed in.

/** A network interface that prefixes can be assigned to. */
export interface PrefixOwner {
  /** `eni-…` */
  readonly interfaceId: string;
  /** Its cable, at the router. */
  readonly link: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

interface Claim {
  readonly cidr: string;
  readonly owner: PrefixOwner;
  readonly fromMs: number;
  /** Infinity while assigned. */
  readonly untilMs: number;
}

export class Ownership {
  // BOUNDED: what is assigned (EC2 limits it per interface), plus what was unassigned within the propagation.
  #claims: readonly Claim[] = [];

  /** @throws RangeError when an interface has it: EC2 gives no prefix twice. */
  assign(cidr: string, owner: PrefixOwner, nowMs: number, propagationMs: number): void {
    const holder = this.ownerOf(cidr);
    if (holder !== undefined) throw new RangeError(`${cidr}: assigned to ${holder.interfaceId}`);
    const claim = { cidr, owner, fromMs: nowMs + propagationMs, untilMs: Number.POSITIVE_INFINITY };
    this.#claims = [...this.#claims.filter(({ untilMs }) => untilMs > nowMs), claim];
  }

  /** @throws RangeError when that interface does not have it. */
  unassign(cidr: string, owner: PrefixOwner, nowMs: number, propagationMs: number): void {
    if (this.ownerOf(cidr) !== owner) throw new RangeError(`${cidr}: not assigned to ${owner.interfaceId}`);
    const untilMs = nowMs + propagationMs;
    this.#claims = this.#claims.map((claim) =>
      claim.cidr === cidr && isHeld(claim) ? { ...claim, untilMs } : claim,
    );
  }

  /** To whom EC2 has it assigned, wherever packets still go. */
  ownerOf(cidr: string): PrefixOwner | undefined {
    return this.#claims.find((claim) => claim.cidr === cidr && isHeld(claim))?.owner;
  }

  /** Where packets go now, by prefix. Of two claims in force, the newer. */
  routed(nowMs: number): ReadonlyMap<string, PrefixOwner> {
    const inForce = this.#claims.filter(({ fromMs, untilMs }) => fromMs <= nowMs && nowMs < untilMs);
    return new Map(inForce.map(({ cidr, owner }) => [cidr, owner]));
  }

  /** When `routed` will next be another, if nothing is assigned or unassigned before. */
  nextChangeMs(nowMs: number): number | undefined {
    const changes = this.#claims
      .flatMap(({ fromMs, untilMs }) => [fromMs, untilMs])
      .filter((atMs) => atMs > nowMs && atMs !== Number.POSITIVE_INFINITY);
    return changes.length === 0 ? undefined : Math.min(...changes);
  }
}

function isHeld(claim: Claim): boolean {
  return claim.untilMs === Number.POSITIVE_INFINITY;
}
