import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Fault, faults } from "../../lab/chaos/faults.ts";
import { openStage } from "../../lab/chaos/open.ts";
import { calmText, progressText } from "../../lab/chaos/report.ts";
import { type Calm, runFault, watchCalm } from "../../lab/chaos/run.ts";
import type { Stage } from "../../lab/chaos/stage.ts";
import { vpcPlaceObstacle } from "../../lab/vpc-place.ts";
import { temporaryFolder } from "../support/folder.ts";

/** The users' outages that are promised, with a small group; `npm run chaos` does the whole list with a larger one. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });
const obstacle = await vpcPlaceObstacle();
const title = obstacle === undefined ? "outages" : `outages (skipped: ${obstacle})`;

describe.skipIf(obstacle !== undefined)(title, () => {
  const folder = temporaryFolder();
  const stop = new AbortController();
  let opened: { readonly stage: Stage } & AsyncDisposable;
  let calm: Calm;

  beforeAll(async () => {
    opened = await openStage({ folder: folder.path, instances: 2, devices: 4, signal: stop.signal });
    calm = await watchCalm(opened.stage, 2_000);
    console.log(calmText(calm));
  });

  afterAll(async () => {
    stop.abort();
    await opened?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test.each([
    ["drain", "0.3 s at most"],
    ["agent-killed", "nothing"],
    ["controller-killed", "nothing"],
    ["cable", "4 s at most"],
  ])("%s: users notice %s", async (name) => {
    const ran = await runFault(opened.stage, faultNamed(name), calm.worstMs);
    console.log(progressText(ran));
    expect(ran).toMatchObject({ is: "run", outcome: { lost: [], problems: [] } });
    // There was something to lose.
    expect(ran.is === "run" && ran.outcome.hit).toBeGreaterThan(0);
  });
});

function faultNamed(name: string): Fault {
  const fault = faults.find((candidate) => candidate.name === name);
  if (fault === undefined) throw new RangeError(`no fault ${name}`);
  return fault;
}
