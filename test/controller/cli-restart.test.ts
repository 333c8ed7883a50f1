import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { drainText } from "../../controller/cli/text/drain.ts";
import { progressLine, restartText } from "../../controller/cli/text/restarts.ts";
import type { AdminPort } from "../../controller/core/admin.ts";
import type { DrainView, RestartStepView, RestartView } from "../../controller/core/restart-views.ts";
import { Failure, failed, success } from "../../protocol/failures.ts";
import { textWidth } from "../../protocol/node/text.ts";
import { temporaryFolder } from "../support/folder.ts";
import { fakeAdmin, serveFake } from "./fake-admin.ts";
import type { Http } from "./http.ts";
import { runHere } from "./run-cli.ts";

const atMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const nothing = { why: null, sinceMs: null, left: null, withoutPlace: null, untilMs: null };
const queued = (n: number): RestartStepView => ({
  ...{ instance: `aws-us-vir-con-0000${n}`, state: "queued", ...nothing },
});
const done = (n: number): RestartStepView => ({ ...queued(n), state: "restarted", sinceMs: atMs });
const draining = (n: number): RestartStepView => ({
  ...{ ...queued(n), state: "draining", sinceMs: atMs },
  ...{ left: 4, withoutPlace: 1, untilMs: atMs + 90_000 },
});
const running: RestartView = {
  ...{ id: "00000000-0000-4000-8000-000000000001", connector: "prod", state: "running" },
  ...{ startedAtMs: atMs, startedBy: "token:admin", endedAtMs: null, endedBy: null, minActive: 2 },
  ...{ restarted: 1, instances: 3, at: "aws-us-vir-con-00002", why: null },
  steps: [done(1), draining(2), queued(3)],
};
const stopped: RestartView = {
  ...{ ...running, state: "stopped", endedAtMs: atMs + 90_000, endedBy: "controller", why: "no-room" },
  steps: [done(1), { ...queued(2), state: "stopped", why: "no-room" }, { ...queued(3), state: "untouched" }],
};
const ended: RestartView = {
  ...{ ...running, state: "done", endedAtMs: atMs, endedBy: "controller", at: null, restarted: 3 },
  steps: [done(1), done(2), done(3)],
};

describe("in words", () => {
  test("a restart that runs", () => {
    expect(restartText(running)).toBe(`Restart of   prod
State        running, 1 of 3 restarted
Started      2026-01-02 03:04:05Z by token:admin
Stay Active  2 at least

aws-us-vir-con-00001  restarted 2026-01-02 03:04:05Z
aws-us-vir-con-00002  draining since 2026-01-02 03:04:05Z
                      4 sessions left, 1 without another place
                      the restart stops here at 2026-01-02 03:05:35Z
aws-us-vir-con-00003  queued

→ connector-controller connector restart prod --show --wait`);
  });

  test("a restart that stopped", () => {
    expect(restartText(stopped)).toBe(`Restart of   prod
State        stopped, 1 of 3 restarted
Started      2026-01-02 03:04:05Z by token:admin
Ended        2026-01-02 03:05:35Z by controller
Stay Active  2 at least

aws-us-vir-con-00001  restarted 2026-01-02 03:04:05Z
aws-us-vir-con-00002  stopped: no room for its sessions
aws-us-vir-con-00003  untouched

→ Add prefixes to other instances' pools, or an instance, then begin anew.`);
  });

  test("how far a drain is", () => {
    const drain: DrainView = {
      ...{ reasons: ["admin", "cli"], sinceMs: atMs, untilMs: atMs + 300_000, left: 12, moved: 30 },
      ...{ comingOver: 3, comingOverUntilMs: atMs + 30_000, withoutPlace: 2 },
    };
    expect(drainText(drain)).toBe(`because of admin, cli, since 2026-01-02 03:04:05Z
12 left: 3 coming over, 2 without another place; 30 moved
who is coming over has until 2026-01-02 03:04:35Z
to be done by 2026-01-02 03:09:05Z`);
  });

  test("everything fits 80 columns", () => {
    const states = ["skipped", "stopped"] as const;
    const busy = { ...draining(1), instance: "x".repeat(20), left: 214, withoutPlace: 100 };
    const whys = [
      ...(["offline", "drained", "draining", "not-active", "condemned", "unable", "removed"] as const),
      ...(["no-room", "not-emptied", "not-ended", "not-returned", "too-few-active"] as const),
    ];
    const name = "x".repeat(20);
    const lines = whys.flatMap((why) => {
      const steps = states.map((state) => ({ ...queued(1), instance: name, state, why }));
      const view: RestartView = { ...stopped, why, at: name, steps };
      return [restartText(view), ...steps.map((step) => `${"t".repeat(20)}  ${progressLine(step)}`)];
    });
    lines.push(`${"t".repeat(20)}  ${progressLine(busy)}`);
    for (const line of lines.join("\n").split("\n")) expect(textWidth(line), line).toBeLessThanOrEqual(80);
  });
});

describe("connector restart", () => {
  let served: (Http & AsyncDisposable) | undefined;
  afterEach(() => served?.[Symbol.asyncDispose]());

  /** The command line against an API whose answers follow each other; the last one stays. */
  async function run(
    views: readonly (RestartView | undefined)[],
    args: string[],
    command: Partial<AdminPort> = {},
  ) {
    const queue = [...views];
    const base = fakeAdmin();
    const restart = () => (queue.length > 1 ? queue.shift() : queue[0]);
    const connector = () => ({}) as ReturnType<AdminPort["views"]["connector"]>;
    served = await serveFake({ views: { ...base.views, connector, restart }, ...command });
    const env = { CONNECTOR_URL: served.url, CONNECTOR_ADMIN_TOKEN: served.token };
    using folder = temporaryFolder();
    const ca = join(folder.path, "ca.pem");
    writeFileSync(ca, served.ca);
    return await runHere([...args, "--ca-file", ca], env, () => atMs);
  }

  const begins: Partial<AdminPort> = { command: (async () => success(running)) as AdminPort["command"] };
  const base = ["connector", "restart", "prod"];

  test("begins, and says how to follow", async () => {
    expect(await run([running], base, begins)).toEqual({
      code: 0,
      out: `${restartText(running)}\n`,
      err: "",
    });
  });

  test("--wait prints each step and ends with 0 when it is done", async () => {
    const first = { ...running, steps: [draining(1), queued(2), queued(3)] };
    const { code, out } = await run([first, first, running, ended], [...base, "--wait"], begins);
    expect(code).toBe(0);
    expect(out).toBe(`2026-01-02 03:04:05Z  aws-us-vir-con-00001  draining, 4 left, 1 no place
2026-01-02 03:04:05Z  aws-us-vir-con-00001  restarted
2026-01-02 03:04:05Z  aws-us-vir-con-00002  draining, 4 left, 1 no place
2026-01-02 03:04:05Z  aws-us-vir-con-00002  restarted
2026-01-02 03:04:05Z  aws-us-vir-con-00003  restarted
done
3 of 3 restarted
→ Nothing to do.
`);
  });

  test("--wait ends with 1 when it stopped, and names where and why", async () => {
    const { code, out } = await run([running, stopped], [...base, "--show", "--wait"]);
    expect(code).toBe(1);
    expect(out).toContain(
      "\nstopped at aws-us-vir-con-00002: no room for its sessions\n1 of 3 restarted\n→ Add",
    );
  });

  test("--wait gives programs a line for each change", async () => {
    const { code, out } = await run([running, running, ended], [...base, "--wait", "-o", "json"], begins);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as RestartView);
    expect(code).toBe(0);
    expect(lines).toEqual([running, ended]);
  });

  test("is refused with 1 and the reason", async () => {
    const why = failed("admin.conflict", { problem: "it is being restarted already" });
    const { code, err } = await run([running], base, { command: async () => why });
    expect(code).toBe(1);
    expect(err).toContain(`[${new Failure("admin.conflict").code}]`);
    expect(err).toContain("it is being restarted already");
  });

  test.each([
    ["--show", "--cancel"],
    ["--show", "--min-active", "1"],
    ["--cancel", "--min-active", "1"],
  ])("%s %s contradict each other", async (...options) => {
    expect((await run([running], [...base, ...options])).code).toBe(64);
  });

  test("where there was none, says so", async () => {
    const { code, err } = await run([undefined], [...base, "--show"]);
    expect(code).toBe(1);
    expect(err).toContain("admin.not-found");
  });
});
