import { setTimeout as sleep } from "node:timers/promises";
import { ip, nft } from "./commands.ts";
import { Ownership, type PrefixOwner } from "./ownership.ts";
import { type Router, sourceElement } from "./router.ts";

type Routed = ReadonlyMap<string, PrefixOwner>;

/** Keeps a router's routes, and what its links may send from, in step with the prefixes that are assigned. */
export class PrefixRoutes implements AsyncDisposable {
  /** How long an assignment takes until packets follow it, both ways. */
  propagationMs: number;
  readonly #router: Router;
  readonly #ownership = new Ownership();
  #routed: Routed = new Map();
  #work: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(router: Router, propagationMs: number) {
    this.#router = router;
    this.propagationMs = propagationMs;
  }

  /** @throws RangeError when an interface has it. */
  assign(cidr: string, owner: PrefixOwner, propagationMs = this.propagationMs): void {
    this.#ownership.assign(cidr, owner, performance.now(), propagationMs);
    this.#follow();
  }

  /** @throws RangeError when that interface does not have it. */
  unassign(cidr: string, owner: PrefixOwner): void {
    this.#ownership.unassign(cidr, owner, performance.now(), this.propagationMs);
    this.#follow();
  }

  /** The interface that EC2 has it assigned to. */
  ownerOf(cidr: string): PrefixOwner | undefined {
    return this.#ownership.ownerOf(cidr);
  }

  /** When the router has every change that is due. @throws Error when it refused one. */
  async applied(): Promise<void> {
    await this.#work;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** When packets follow all that was assigned and unassigned. @throws Error when the router refused a change. */
  async settled(): Promise<void> {
    for (;;) {
      await this.applied();
      const now = performance.now();
      const nextMs = this.#ownership.nextChangeMs(now);
      if (nextMs === undefined) return;
      await sleep(nextMs - now + 1);
      this.#follow();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#work;
    clearTimeout(this.#timer);
  }

  /** One change after the other: what gathers meanwhile is the next. */
  #follow(): void {
    this.#work = this.#work
      .then(() => this.#apply())
      .catch((error) => {
        this.#failure ??= error;
      });
  }

  async #apply(): Promise<void> {
    const atMs = performance.now();
    const wanted = this.#ownership.routed(atMs);
    const gone = differing(this.#routed, wanted);
    const come = differing(wanted, this.#routed);
    if (gone.length + come.length > 0) {
      const { namespace } = this.#router;
      const sources = [
        ...gone.map(([cidr, { link }]) => sourceElement("delete", link, cidr)),
        ...come.map(([cidr, { link }]) => sourceElement("add", link, cidr)),
      ];
      await Promise.all([
        ip(namespace, [...gone.map(routeCommand("delete")), ...come.map(routeCommand("add"))]),
        nft(namespace, sources.join("; ")),
      ]);
      this.#routed = wanted;
    }
    clearTimeout(this.#timer);
    // What was due while the router was told is among it.
    const nextMs = this.#ownership.nextChangeMs(atMs);
    if (nextMs === undefined) return;
    const waitMs = Math.max(0, nextMs - performance.now() + 1);
    this.#timer = setTimeout(() => this.#follow(), waitMs);
  }
}

/** What the one has that the other does not have so. */
function differing(one: Routed, other: Routed): (readonly [string, PrefixOwner])[] {
  return [...one].filter(([cidr, owner]) => other.get(cidr) !== owner);
}

function routeCommand(verb: "add" | "delete") {
  return ([cidr, { ipv4, ipv6, link }]: readonly [string, PrefixOwner]) =>
    `route ${verb} ${cidr} via ${cidr.includes(":") ? ipv6 : ipv4} dev ${link}`;
}
