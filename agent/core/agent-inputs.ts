import type { FailureCode, Result } from "../../protocol/failures.ts";
import type { LinkEffect, LinkInput } from "../../protocol/link.ts";
import type { DrainReason } from "../../protocol/specs.ts";
import type { Condition, InstanceStatus } from "../../protocol/view.ts";
import type { DataPathEffect } from "./datapath.ts";
import type { EnrolmentEffect, InstanceReading, OtpSeen, ProofPlan } from "./enrolment.ts";
import type { IdentityRecord, SavedIdentity } from "./identity.ts";
import type { LeaseEffect } from "./leases.ts";
import type { LifecycleEffect } from "./lifecycle.ts";
import type { MemoryWrite } from "./memory.ts";
import type { NoticesReading } from "./notice-shapes.ts";
import type { DataPathState, PrefixReading, SessionTraffic } from "./ports.ts";
import type { TrafficEffect } from "./traffic.ts";

/** What happens to an agent. Results carry the number of the effect they answer; one nobody waits for is dropped. */
export type AgentInput =
  | { readonly kind: "start" }
  | { readonly kind: "tick" }
  /** The process ends: close the link without a goodbye, because a restart is none; with one where it was leaving. */
  | { readonly kind: "stop" }
  | { readonly kind: "link"; readonly input: LinkInput }
  | { readonly kind: "instanceRead"; readonly effectId: number; readonly reading: InstanceReading }
  | { readonly kind: "prefixesRead"; readonly effectId: number; readonly reading: PrefixReading }
  | { readonly kind: "identityMade"; readonly effectId: number; readonly result: Result<IdentityRecord> }
  | { readonly kind: "enrolmentSaved"; readonly effectId: number; readonly result: Result<void> }
  | { readonly kind: "otpSeen"; readonly effectId: number; readonly seen: OtpSeen }
  | {
      readonly kind: "stored";
      readonly part: StorePart["of"];
      readonly effectId: number;
      readonly why: FailureCode | undefined;
    }
  | { readonly kind: "applied"; readonly effectId: number; readonly result: Result<DataPathState> }
  | { readonly kind: "compared"; readonly effectId: number; readonly result: Result<DataPathState> }
  /** The data path has noticed something by itself. */
  | { readonly kind: "dataPathNews" }
  | {
      readonly kind: "trafficRead";
      readonly effectId: number;
      readonly result: Result<ReadonlyMap<string, SessionTraffic>>;
    }
  /** The schedule or a person wants the prefixes read. */
  | { readonly kind: "verify" }
  /** `forMs`: how long it may take, as far as the one who asks is concerned. */
  | {
      readonly kind: "hold";
      readonly reason: DrainReason;
      readonly isOn: boolean;
      readonly forMs?: number | undefined;
    }
  /** Leave the group: drain, then say goodbye, after `forMs` in any case. */
  | { readonly kind: "leave"; readonly forMs: number }
  | { readonly kind: "noticesRead"; readonly effectId: number; readonly reading: NoticesReading }
  /** Somebody changed something by hand: look again at identity, password and metadata, and dial. */
  | { readonly kind: "reload"; readonly identity: SavedIdentity };

export type AgentEffect =
  | Extract<LinkEffect, { do: "dial" | "send" | "hangUp" }>
  | (Extract<LinkEffect, { do: "prove" }> & { readonly plan: ProofPlan })
  | EnrolmentEffect
  | DataPathEffect
  | TrafficEffect
  | LifecycleEffect
  | { readonly do: "readPrefixes"; readonly effectId: number }
  | { readonly do: "store"; readonly part: StorePart }
  | { readonly do: "note"; readonly note: Note };

/** All that one turn stores is one transaction: `mergeParts`. */
export type StorePart =
  | ({ readonly of: "leases" } & Omit<Extract<LeaseEffect, { do: "store" }>, "do">)
  | ({ readonly of: "memory" } & MemoryWrite);

/** What an operator may want in the log. */
export type Note =
  | { readonly is: "status"; readonly from: InstanceStatus | undefined; readonly to: InstanceStatus }
  | { readonly is: "raised"; readonly condition: Condition }
  | { readonly is: "cleared"; readonly condition: Condition }
  | { readonly is: "linkUp"; readonly name: string; readonly version: number }
  | { readonly is: "linkDown"; readonly why: FailureCode }
  | { readonly is: "refused"; readonly why: FailureCode; readonly text: string }
  | { readonly is: "breach"; readonly where: string }
  | { readonly is: "ignored"; readonly entries: number }
  /** Of the desired state on disk, at the start. */
  | { readonly is: "unreadable"; readonly entries: number };
