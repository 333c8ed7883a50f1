import type { NoticesReading, Reading } from "../../agent/core/notice-shapes.ts";
import type { PrefixReading } from "../../agent/core/ports.ts";
import type { Random } from "./random.ts";

/**
 * `lying`: no prefix is said to be there. `flapping`: the same, for one or two readings in a row and never three, which is
 * what an agent has to sit out. `stale`: what was true when it began.
 */
export type MetadataFault = "failing" | "silent" | "stale" | "lying" | "flapping";

export type NoticeKind = "spot" | "rebalance" | "autoscaling";

/** Readings that lie so often in a row are believed. */
const believedLies = 3;

const vpc = { vpcId: "vpc-0c0ffee0c0ffee001", subnetId: "subnet-0c0ffee0c0ffee001" };

export const unreachable = {
  is: "unknown",
  why: "imds.unreachable",
  facts: { error: "no answer" },
} as const;

/** What an instance's metadata service says of it. */
export class Metadata {
  fault: MetadataFault | undefined;
  /** The prefixes it knows of: those AWS routes here, a little later. */
  told: readonly string[] = [];
  /** What AWS has announced. A spot notice has a time, on the wall clock. */
  readonly notices = new Map<NoticeKind, number>();
  readonly #address: string;
  readonly #random: Random;
  #lies = 0;

  constructor(address: string, random: Random) {
    this.#address = address;
    this.#random = random;
  }

  get isAnswering(): boolean {
    return this.fault !== "failing" && this.fault !== "silent";
  }

  /** How long an answer takes. */
  get takesMs(): number {
    return this.fault === "silent" ? 8_000 : this.#random.between(1, 50);
  }

  /**
   * `doubted`: it has said what is not so often enough in a row, or to an agent that knows of no earlier reading
   * (`isFirst`).
   */
  readPrefixes(isFirst: boolean, doubted: () => void): PrefixReading {
    if (!this.isAnswering) return unreachable;
    const isLie =
      this.fault === "lying" ||
      (this.fault === "flapping" && this.#lies < believedLies - 1 && this.#random.chance(0.6));
    this.#lies = isLie ? this.#lies + 1 : 0;
    if (this.#lies >= believedLies || (isLie && isFirst)) doubted();
    const told = isLie ? [] : this.told;
    return {
      is: "known",
      ipv4: told.filter((prefix) => !prefix.includes(":")),
      ipv6: told.filter((prefix) => prefix.includes(":")),
      interface: this.#interface(),
    };
  }

  readNotices(): NoticesReading {
    const known = <T>(value: T | undefined): Reading<T> =>
      this.isAnswering ? { is: "known", value } : unreachable;
    const spot = this.notices.get("spot");
    const rebalance = this.notices.get("rebalance");
    return {
      spot: known(spot === undefined ? undefined : { action: "terminate", atMs: spot }),
      rebalance: known(rebalance === undefined ? undefined : { noticedMs: rebalance }),
      autoscaling: known(this.notices.has("autoscaling") ? "Terminated" : "InService"),
    };
  }

  #interface() {
    return {
      ...{ mac: "0e:49:61:0f:00:01", interfaceId: "eni-0a1b2c3d4e5f60001", ...vpc },
      primaryIpv4: this.#address,
      ...{ subnetIpv4: "172.18.128.0/20", subnetIpv6: ["2600:1f18:2a89:703::/64"] },
      vpcCidrs: ["172.18.0.0/16", "2600:1f18:2a89:700::/56"],
    };
  }
}
