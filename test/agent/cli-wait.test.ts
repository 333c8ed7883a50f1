import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startSocketServer } from "../../agent/adapters/socket-server.ts";
import type { DrainOptions } from "../../agent/core/local-api.ts";
import type { StatusView } from "../../protocol/view.ts";
import { temporaryFolder } from "../support/folder.ts";
import { active, connector, fakeAgent, silent } from "./cli-fixture.ts";

/** An agent on a real socket whose state is what the test makes of it at each look. */
async function agent(look: (looks: number, now: StatusView) => StatusView) {
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const path = join(folder.path, "agent.sock");
  const { views, actions } = fakeAgent();
  const asked: [string, DrainOptions | undefined][] = [];
  let status: StatusView = active;
  let looks = 0;
  const begin = (action: string, begun: Partial<StatusView>) => async (options?: DrainOptions) => {
    asked.push([action, options]);
    status = { ...active, status: "Draining", ...begun };
    return status;
  };
  const server = await startSocketServer({
    path,
    views: {
      ...views,
      status: () => {
        status = look(++looks, status);
        return status;
      },
    },
    actions: {
      ...actions,
      drain: begin("drain", { drain: ["cli"], draining: { sinceMs: active.nowMs, sessionsMost: 3 } }),
      leave: begin("leave", { drain: ["shutdown"], draining: { sinceMs: active.nowMs, sessionsMost: 3 } }),
    },
    log: silent,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const run = (args: string[], options: Parameters<typeof connector>[1] = {}) =>
    connector([...args, "--socket", path], options);
  return { run, asked, server };
}

const goes = (looks: number, now: StatusView): StatusView => ({ ...now, sessions: Math.max(0, 3 - looks) });

test("drain --wait tells who is left, and ends when nobody is", async () => {
  const { run, asked } = await agent(goes);
  const { code, out, err } = await run(["drain", "--wait", "--deadline", "60"]);
  expect(asked).toEqual([["drain", { forMs: 60_000 }]]);
  expect(out).toMatch(/ {2}2 of 3 left\n.* {2}1 of 3 left\n.*Draining\n(.*\n)*.*0 of 3 sessions left/);
  expect({ code, err }).toEqual({ code: 0, err: "" });
});

test("drain without --wait does not wait", async () => {
  const { run, asked } = await agent((_, now) => now);
  expect(await run(["drain"])).toMatchObject({ code: 0 });
  expect(asked).toEqual([["drain", {}]]);
});

test("for programs it is one JSON at the end", async () => {
  const { run } = await agent(goes);
  const { out } = await run(["drain", "--wait", "-o", "json"]);
  expect(JSON.parse(out)).toMatchObject({ sessions: 0, drain: ["cli"] });
});

test("exit code 1 with the deadline, and when somebody resumes meanwhile", async () => {
  const late = await agent((_, now) => ({
    ...now,
    ...(now.draining && { draining: { ...now.draining, untilMs: now.nowMs - 1_000 } }),
  }));
  expect(await late.run(["drain", "--wait", "--deadline", "1"])).toMatchObject({
    code: 1,
    out: expect.stringContaining("was to be done 1s ago"),
  });
  const resumed = await agent((_, now) => ({ ...now, status: "Active", drain: [] }));
  expect(await resumed.run(["drain", "--wait"])).toMatchObject({ code: 1 });
});

test("Ctrl-C ends the waiting and not the drain: 1", async () => {
  const { run } = await agent((_, now) => now);
  const stop = new AbortController();
  const ran = run(["drain", "--wait"], { stop: stop.signal, onPrint: () => stop.abort() });
  expect(await ran).toMatchObject({ code: 1, out: expect.stringContaining("3 sessions left") });
});

test("leave waits by itself: 0 when everybody had moved, 1 when the deadline came first", async () => {
  const left = (sessions: number) => (looks: number, now: StatusView) => ({
    ...now,
    sessions,
    ...(looks < 3
      ? {}
      : {
          drain: ["shutdown" as const],
          draining: { sinceMs: now.nowMs, untilMs: now.nowMs + 60_000, sessionsMost: sessions },
          departure: { state: "left" as const, reason: "shutdown" as const, atMs: now.nowMs, sessions },
        }),
  });
  const whole = await agent(left(0));
  expect(await whole.run(["leave"])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/ {2}0 sessions left\n {2}left the group/),
  });
  expect(whole.asked).toEqual([["leave", { forMs: 60_000 }]]);
  const torn = await agent(left(2));
  expect(await torn.run(["leave", "--deadline", "5"])).toMatchObject({
    code: 1,
    out: expect.stringContaining("with 2 sessions here"),
  });
});

test("an agent that cannot be asked: 2", async () => {
  const { run, server } = await agent(goes);
  await server[Symbol.asyncDispose]();
  expect(await run(["leave"])).toMatchObject({ code: 2, err: expect.stringContaining("socket") });
});
