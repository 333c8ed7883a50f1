// One emulated instance as it changes over time: prefixes, and the notices AWS gives it. Time is handed in.
import type { Instance } from "./instance.ts";
import { type Prefixes, PrefixTimeline } from "./prefixes.ts";

export interface SpotAction {
  action: "terminate" | "stop" | "hibernate";
  /** When AWS will act; two minutes ahead of the notice in real life. */
  atMs: number;
}

/** https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html */
export type LifecycleState =
  | "InService"
  | "Terminated"
  | "Standby"
  | "Detached"
  | `Warmed:${"Hibernated" | "Running" | "Stopped" | "Terminated"}`;

/** What the metadata service would show at one instant, before any fault bends it. */
export interface View {
  instance: Instance;
  prefixesByMac: ReadonlyMap<string, Prefixes>;
  spotAction: SpotAction | undefined;
  rebalanceNoticeMs: number | undefined;
  targetLifecycleState: LifecycleState | undefined;
}

export class InstanceWorld {
  readonly instance: Instance;
  /** How long the metadata service lags behind EC2, both ways. */
  propagationMs: number;
  readonly #timelines: ReadonlyMap<string, PrefixTimeline>;
  #spotAction: SpotAction | undefined;
  #rebalanceNoticeMs: number | undefined;
  #targetLifecycleState: LifecycleState | undefined;

  constructor(instance: Instance, propagationMs = 0) {
    this.instance = instance;
    this.propagationMs = propagationMs;
    this.#timelines = new Map(instance.interfaces.map((iface) => [iface.mac, new PrefixTimeline(iface)]));
  }

  /** @throws RangeError where EC2 would refuse, or when the instance has no such interface. */
  assignPrefix(cidr: string, mac: string, nowMs: number): void {
    this.#timeline(mac).assign(cidr, nowMs, this.propagationMs);
  }

  /** @throws RangeError when the prefix is not assigned, or when the instance has no such interface. */
  unassignPrefix(cidr: string, mac: string, nowMs: number): void {
    this.#timeline(mac).unassign(cidr, nowMs, this.propagationMs);
  }

  assignedPrefixes(mac: string): Prefixes {
    return this.#timeline(mac).assigned();
  }

  setSpotAction(action: SpotAction | undefined): void {
    this.#spotAction = action;
  }

  setRebalanceNotice(atMs: number | undefined): void {
    this.#rebalanceNoticeMs = atMs;
  }

  setTargetLifecycleState(state: LifecycleState | undefined): void {
    this.#targetLifecycleState = state;
  }

  view(nowMs: number): View {
    return {
      instance: this.instance,
      prefixesByMac: new Map([...this.#timelines].map(([mac, timeline]) => [mac, timeline.shown(nowMs)])),
      spotAction: this.#spotAction,
      rebalanceNoticeMs: this.#rebalanceNoticeMs,
      targetLifecycleState: this.#targetLifecycleState,
    };
  }

  #timeline(mac: string): PrefixTimeline {
    const timeline = this.#timelines.get(mac);
    if (timeline === undefined) throw new RangeError(`${this.instance.instanceId} has no interface ${mac}`);
    return timeline;
  }
}
