export interface ProbeSettings {
  /** How often it is looked whether something came back: while there is traffic, and while there is none. */
  readonly busyEveryMs: number;
  readonly quietEveryMs: number;
  /** A path without traffic is asked when nothing has come for so long. */
  readonly askAfterMs: number;
  /** Nothing has come back for so long, and a question went unanswered: the path is dead. */
  readonly deadAfterMs: number;
  /** The same where users sent on all the while. */
  readonly sentOnDeadAfterMs: number;
  /** A path that was never heard may still be on its way to the instance. */
  readonly firstDeadAfterMs: number;
  /** So long without a lost echo, and the path counts as one that loses nothing. */
  readonly calmAfterMs: number;
}

export const probeDefaults: ProbeSettings = {
  busyEveryMs: 300,
  quietEveryMs: 1_000,
  askAfterMs: 1_300,
  deadAfterMs: 1_300,
  sentOnDeadAfterMs: 700,
  firstDeadAfterMs: 2_000,
  calmAfterMs: 60_000,
};
