import type { z } from "zod";
import type { AgentObserved, DeviceObserved } from "../../protocol/state.ts";
import type { Instant } from "../../protocol/time.ts";
import type { PoolCounts } from "../../protocol/view.ts";
import type { LinkId } from "./effects.ts";
import { Resting } from "./resting.ts";

/** What is known only while it is said: links and reports. Nothing of it is stored; a restart hears it anew. */

type Reported<Kind extends keyof AgentObserved> = z.infer<AgentObserved[Kind]>;
type DeviceReported<Kind extends keyof DeviceObserved> = z.infer<DeviceObserved[Kind]>;

export interface InstanceFacts {
  link: { readonly id: LinkId; readonly since: Instant } | undefined;
  heard: Instant | undefined;
  /** When its link was lost, on the monotonic clock; undefined while it has one. */
  lostAtMs: number | undefined;
  /** It said that it leaves, and why; until it is back. */
  goodbye: string | undefined;
  /** The last report, kept while the link is down so that there is something to show. */
  report: Reported<"instance"> | undefined;
  /** Since when it has a link and is not Active, on the monotonic clock. */
  notActiveSinceMs: number | undefined;
  /** BOUNDED: `poolsMax` */
  pools: Map<string, PoolCounts>;
  prefixes: Reported<"prefixes"> | undefined;
  /** The VPC's blocks of `prefixes`, as devices may be told them; undefined when it does not say. */
  vpcCidrs: readonly string[] | undefined;
  /** What its row keeps of its reports is in the pipeline already. */
  isRowQueued: boolean;
  /** Raised whenever a report could change a placement. */
  revision: number;
}

export interface DeviceFacts {
  link: LinkId | undefined;
  /** When its last link came up, on the monotonic clock. */
  linkedAtMs: number;
  heard: Instant | undefined;
  address: string | undefined;
  report: DeviceReported<"device"> | undefined;
  held: DeviceReported<"held"> | undefined;
  /** What its probe says of the path that carries its traffic, which may be that of an earlier epoch. */
  path: DeviceReported<"path"> | undefined;
}

/** Pools one instance may report: more than a connector can have. */
export const poolsMax = 256;

export class Fleet {
  /** BOUNDED: instances and devices of the model. */
  readonly #instances = new Map<string, InstanceFacts>();
  readonly #devices = new Map<string, DeviceFacts>();
  readonly resting = new Resting();

  instance(id: string): InstanceFacts | undefined {
    return this.#instances.get(id);
  }

  device(id: string): DeviceFacts | undefined {
    return this.#devices.get(id);
  }

  instanceLinked(id: string, link: LinkId, now: Instant): void {
    const facts = this.#instances.get(id) ?? {
      link: undefined,
      heard: undefined,
      lostAtMs: undefined,
      goodbye: undefined,
      report: undefined,
      notActiveSinceMs: undefined,
      pools: new Map(),
      prefixes: undefined,
      vpcCidrs: undefined,
      isRowQueued: false,
      revision: 0,
    };
    this.#instances.set(id, facts);
    facts.link = { id: link, since: now };
    facts.lostAtMs = undefined;
    facts.goodbye = undefined;
    // What it said on an earlier link no longer counts: it says everything anew.
    facts.report = undefined;
    facts.notActiveSinceMs = now.monotonicMs;
    facts.pools.clear();
    this.resting.forget(id);
    facts.prefixes = undefined;
    facts.vpcCidrs = undefined;
    facts.revision += 1;
  }

  deviceLinked(id: string, link: LinkId, address: string, { monotonicMs: linkedAtMs }: Instant): void {
    const facts = this.#devices.get(id);
    if (facts === undefined) {
      const nothing = { heard: undefined, report: undefined, held: undefined, path: undefined };
      this.#devices.set(id, { ...nothing, link, linkedAtMs, address });
    } else {
      facts.link = link;
      facts.linkedAtMs = linkedAtMs;
      facts.address = address;
      facts.report = undefined;
      facts.held = undefined;
      facts.path = undefined;
    }
  }

  instanceReports(id: string, report: Reported<"instance">, now: Instant): void {
    const facts = this.#instances.get(id);
    if (facts === undefined) return;
    facts.report = report;
    facts.notActiveSinceMs =
      report.status === "Active" ? undefined : (facts.notActiveSinceMs ?? now.monotonicMs);
    facts.revision += 1;
  }

  instanceLost(id: string, heard: Instant, now: Instant): void {
    const facts = this.#instances.get(id);
    if (facts === undefined) return;
    facts.link = undefined;
    facts.lostAtMs = now.monotonicMs;
    facts.heard = heard;
    facts.revision += 1;
  }

  instanceLeaves(id: string, reason: string): void {
    const facts = this.#instances.get(id);
    if (facts !== undefined) facts.goodbye = reason;
  }

  deviceLost(id: string, heard: Instant): void {
    const facts = this.#devices.get(id);
    if (facts === undefined) return;
    facts.link = undefined;
    facts.heard = heard;
  }

  instanceForgotten(id: string): void {
    this.#instances.delete(id);
    this.resting.forget(id);
  }

  deviceForgotten(id: string): void {
    this.#devices.delete(id);
  }
}
