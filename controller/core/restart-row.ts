/**
 * A rolling restart of a connector's agents as it is stored: one row for each connector, with the last one that was asked
 * for. What is to be done next follows from it and from what the instances say (restart-next.ts).
 */

/** Why an instance was passed over: there was no well one to restart, or nobody there to be told. */
export type SkipReason =
  | "offline"
  /** By an administrator. */
  | "drained"
  /** By its own word. */
  | "draining"
  | "not-active"
  /** Its devices have condemned it. */
  | "condemned"
  /** Its agent is older than rolling restarts. */
  | "unable"
  | "removed";

export type StopReason =
  /** Sessions of it found no other place. */
  | "no-room"
  /** All have a place, and some did not come over in time. */
  | "not-emptied"
  /** Its process was told to end, and is there still. */
  | "not-ended"
  | "not-returned"
  /** A new process is there, and does not become Active. */
  | "not-active"
  /** Without it fewer than `minActive` would be Active. */
  | "too-few-active";

export type RestartStage =
  | { readonly is: "queued" }
  | { readonly is: "skipped"; readonly why: SkipReason; readonly atMs: number }
  /** `process`: the one that is to end. `sessions`: how many it had. */
  | {
      readonly is: "draining";
      readonly process: string;
      readonly sinceMs: number;
      readonly sessions: number;
    }
  /** It is told to go. Not drained: nobody else is there to take its sessions, which stay in its kernel. */
  | {
      readonly is: "restarting";
      readonly process: string;
      readonly sinceMs: number;
      readonly wasDrained: boolean;
    }
  | { readonly is: "restarted"; readonly atMs: number }
  | { readonly is: "stopped"; readonly why: StopReason; readonly atMs: number }
  | { readonly is: "cancelled"; readonly atMs: number };

export interface RestartStep {
  readonly instance: string;
  /** Kept for who reads this when the instance is gone. */
  readonly name: string;
  readonly stage: RestartStage;
}

export interface RestartRow {
  /** The connector's. */
  readonly name: string;
  readonly restartId: string;
  readonly minActive: number;
  readonly startedAtMs: number;
  readonly startedBy: string;
  /** null while it runs. `by`: who cancelled it, else the controller. */
  readonly outcome: {
    readonly is: "done" | "stopped" | "cancelled";
    readonly atMs: number;
    readonly by: string;
  } | null;
  /** In the order of their turns. BOUNDED: instances of a connector. */
  readonly steps: readonly RestartStep[];
}

/** Whether this stage is the end of an instance's turn. */
export function isOver({ is }: RestartStage): boolean {
  switch (is) {
    case "queued":
    case "draining":
    case "restarting":
      return false;
    case "skipped":
    case "restarted":
    case "stopped":
    case "cancelled":
      return true;
  }
}

/** Whether an instance in this stage is to be emptied, or stays empty until it is back. */
export function isEmptied(stage: RestartStage | undefined): boolean {
  return stage?.is === "draining" || (stage?.is === "restarting" && stage.wasDrained);
}

/** Whose turn it is, while the restart runs. */
export function currentStep(row: RestartRow | undefined): RestartStep | undefined {
  return row?.outcome === null ? row.steps.find(({ stage }) => !isOver(stage)) : undefined;
}
