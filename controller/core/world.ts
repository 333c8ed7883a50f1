import type { FailureCode } from "../../protocol/failures.ts";
import type { Instant } from "../../protocol/time.ts";
import type { Carriers } from "./carriers.ts";
import type { ControllerEffect } from "./effects.ts";
import type { Fleet } from "./fleet.ts";
import type { Judge } from "./judge.ts";
import type { MoveReason } from "./judgement.ts";
import type { Model } from "./model.ts";
import type { Peers } from "./peers.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Placer } from "./placer.ts";
import type { Makers } from "./ports.ts";
import type { Restarts } from "./restarts.ts";
import type { CoreSettings } from "./settings.ts";

/** What the parts of the core share while an input is handled. */
export interface World {
  readonly controllerId: string;
  readonly settings: CoreSettings;
  readonly makers: Makers;
  readonly model: Model;
  readonly fleet: Fleet;
  readonly peers: Peers;
  readonly placer: Placer;
  readonly judge: Judge;
  readonly carriers: Carriers;
  readonly restarts: Restarts;
  readonly pipeline: Pipeline;
  readonly totals: Totals;
  /** Of the input that is being handled. */
  now: Instant;
  emit(effect: ControllerEffect): void;
  newEffectId(): number;
}

/** Counted since the start. */
export interface Totals {
  placements: number;
  readonly moved: Record<MoveReason, number>;
  enrolments: number;
  joins: number;
  commands: number;
  unknownMessages: number;
  storeFailures: number;
  readonly refused: Partial<Record<FailureCode, number>>;
}

export function noTotals(): Totals {
  return {
    placements: 0,
    moved: {
      drain: 0,
      goodbye: 0,
      "link-lost": 0,
      devices: 0,
      "path-dead": 0,
      failover: 0,
      refused: 0,
      ended: 0,
      range: 0,
      removed: 0,
      claimed: 0,
    },
    enrolments: 0,
    joins: 0,
    commands: 0,
    unknownMessages: 0,
    storeFailures: 0,
    refused: {},
  };
}

export function count(totals: Totals, code: FailureCode): void {
  totals.refused[code] = (totals.refused[code] ?? 0) + 1;
}
