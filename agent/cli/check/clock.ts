import { execFile } from "node:child_process";
import { Failure } from "../../../protocol/failures.ts";
import { limits } from "../../../protocol/limits.ts";
import { duration } from "../../../protocol/node/text.ts";
import type { ControllerSeen } from "./controller.ts";
import { type Line, lineOf, ok, skip, warn } from "./line.ts";

/** A difference worth a look; the `Date` header counts whole seconds, and the way takes a moment. */
const differenceMsMax = 10_000;

export interface ClockSeen {
  /** Whether the host says that something keeps its clock right; undefined when nothing could be asked. */
  readonly synchronised: boolean | undefined;
  readonly by: string;
}

/** Asks systemd, then chrony. */
export async function lookAtClock(): Promise<ClockSeen> {
  const systemd = await output("timedatectl", ["show", "-p", "NTPSynchronized", "--value"]);
  if (systemd === "yes") return { synchronised: true, by: "systemd" };
  const chrony = await output("chronyc", ["-c", "tracking"]);
  // Reference id, stratum, …: an unsynchronised chronyd has reference id 00000000.
  if (chrony !== undefined) return { synchronised: !chrony.startsWith("00000000"), by: "chrony" };
  return { synchronised: systemd === "no" ? false : undefined, by: "systemd" };
}

export function judgeClock(clock: ClockSeen, http: ControllerSeen["http"]): Line[] {
  return [judgeDifference(http), judgeSynchronisation(clock)];
}

function judgeDifference(http: ControllerSeen["http"]): Line {
  if (http?.is !== "done" || http.dateMs === undefined) {
    return skip("clock", "needs an answer of the controller to compare with");
  }
  const difference = http.atMs - http.dateMs;
  const text = `${duration(Math.abs(difference))} ${difference < 0 ? "behind" : "ahead of"} the controller's`;
  if (Math.abs(difference) > limits.clockSkewMsMax) {
    return lineOf("clock", new Failure("enrol.clock-skew", { "this clock is": text }));
  }
  if (Math.abs(difference) <= differenceMsMax) return ok("clock", "agrees with the controller's");
  return warn("clock", text, "Let both hosts synchronise their clocks; enrolment fails beyond 5 minutes.");
}

function judgeSynchronisation({ synchronised, by }: ClockSeen): Line {
  if (synchronised === undefined) return skip("clock sync", "neither systemd nor chrony could be asked");
  if (synchronised) return ok("clock sync", `synchronised, says ${by}`);
  return warn(
    "clock sync",
    `not synchronised, says ${by}`,
    "Let chrony or systemd-timesyncd use the Amazon Time Sync Service, 169.254.169.123.",
  );
}

function output(command: string, args: readonly string[]): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  execFile(command, args, { timeout: 1_000 }, (error, stdout) => resolve(error ? undefined : stdout.trim()));
  return promise;
}
