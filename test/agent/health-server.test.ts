import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, Server } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { startHealthServer } from "../../agent/adapters/health-server.ts";
import { Metrics } from "../../agent/adapters/metrics.ts";
import type { SessionView, StatusView } from "../../protocol/view.ts";
import { until } from "../support/until.ts";
import { active, fakeAgent, online, silent, unenrolled } from "./cli-fixture.ts";

async function start(status: StatusView = active, metrics = new Metrics()) {
  const { views } = fakeAgent(status);
  const server = await startHealthServer({ listen: "127.0.0.1:0", views, metrics, log: silent });
  const get = (path: string, method = "GET") => fetch(`http://127.0.0.1:${server.port}${path}`, { method });
  return { get, metrics, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

test.each([
  ["Active", active, 200, "ready: Active\n"],
  ["Online", online, 503, "not ready: Online\npool.full: The pool has no free address\n"],
  [
    "Draining",
    { ...active, status: "Draining", drain: ["cli", "spot"] },
    503,
    "not ready: Draining (cli, spot)\n",
  ],
  ["Configured", unenrolled, 503, "not ready: Configured\notp.expired: The one-time password has expired\n"],
] as const)("/readyz of an instance that is %s", async (_name, status, code, text) => {
  await using server = await start(status as StatusView);
  const answer = await server.get("/readyz");
  expect(answer.status).toBe(code);
  expect(await answer.text()).toContain(text);
});

test("/livez says alive whatever the status", async () => {
  await using server = await start(unenrolled);
  expect((await server.get("/livez")).status).toBe(200);
  expect((await server.get("/livez", "HEAD")).status).toBe(200);
  expect((await server.get("/livez", "POST")).status).toBe(405);
  expect((await server.get("/other")).status).toBe(404);
});

interface Sample {
  readonly name: string;
  readonly labels: string;
  readonly value: number;
}

/** Reads the Prometheus text format strictly: HELP, TYPE, then the samples of that family. */
function parse(text: string): { samples: Sample[]; types: Map<string, string> } {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  const helped = new Set<string>();
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const help = /^# HELP (\S+) (.+\.)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    const sample = /^([a-z_]+)(\{(?:[a-z_]+="[^"]*",?)+\})? (-?[\d.e+-]+|\+Inf)$/.exec(line);
    if (help?.[1] !== undefined) helped.add(help[1]);
    else if (type?.[1] !== undefined) types.set(type[1], type[2] ?? "");
    else {
      expect(sample, line).not.toBeNull();
      samples.push({ name: sample?.[1] ?? "", labels: sample?.[2] ?? "", value: Number(sample?.[3]) });
    }
  }
  expect([...types.keys()]).toEqual([...helped]);
  return { samples, types };
}

test("/metrics says what the views say, with names and units as Prometheus wants them", async () => {
  await using server = await start(online);
  server.metrics.dialled();
  server.metrics.committed(10_000, 0.03);
  server.metrics.committed(1, 0, "store.full");
  server.metrics.readPrefixes("imds.unreachable");
  server.metrics.ignoredFrame();
  const answer = await server.get("/metrics");
  expect(answer.headers.get("content-type")).toContain("text/plain; version=0.0.4");
  const { samples, types } = parse(await answer.text());
  for (const [name, type] of types) {
    expect(name).toMatch(/^connector_[a-z_]+$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(name).not.toMatch(/_(ms|minutes|kb|mb|percent)$/);
  }
  const value = (name: string, labels = "") =>
    samples.find((sample) => sample.name === name && sample.labels === labels)?.value;
  expect(value("connector_instance_status", '{status="Online"}')).toBe(1);
  expect(value("connector_instance_status", '{status="Active"}')).toBe(0);
  expect(value("connector_pool_addresses", '{pool="Pool1",group="Engineering",state="quarantined"}')).toBe(
    16,
  );
  expect(value("connector_prefixes", '{verdict="ok"}')).toBe(2);
  expect(value("connector_sessions", '{state="refused"}')).toBe(1);
  expect(value("connector_sessions", '{state="ended"}')).toBe(0);
  expect(value("connector_conditions", '{code="pool.full",severity="warning"}')).toBe(1);
  expect(value("connector_link_up")).toBe(1);
  expect(value("connector_start_time_seconds")).toBe(online.upSinceMs / 1000);
  expect(value("connector_store_rows_total")).toBe(10_000);
  expect(value("connector_store_failures_total", '{code="store.full"}')).toBe(1);
  expect(value("connector_store_commit_seconds_count")).toBe(1);
  expect(value("connector_prefix_readings_total", '{result="imds.unreachable"}')).toBe(1);
  expect(value("connector_link_dials_total")).toBe(1);
});

test("what is no longer true is no longer in the metrics", async () => {
  const metrics = new Metrics();
  expect(await metrics.text(fakeAgent(online).views)).toContain("Pool2");
  expect(await metrics.text(fakeAgent(active).views)).not.toContain("Pool2");
});

test("the bytes of all sessions only grow, whatever becomes of the sessions", async () => {
  const metrics = new Metrics();
  const { views } = fakeAgent(active);
  const granted = (session: string, bytes?: number): SessionView => ({
    ...{ session, epoch: 1, device: session, user: "u", pool: "Pool1", state: "granted" },
    ...(bytes === undefined ? {} : { rxBytes: bytes, txBytes: 10 * bytes }),
  });
  const scrape = async (...sessions: SessionView[]) => {
    const { samples } = parse(await metrics.text({ ...views, sessions: () => sessions }));
    const bytes = samples.filter(({ name }) => name === "connector_traffic_bytes_total");
    return bytes.map(({ value }) => value);
  };
  const looks: readonly (readonly [what: string, sessions: SessionView[], from: number])[] = [
    ["what was there before the agent is not counted", [granted("old", 5_000), granted("silent")], 0],
    ["growth is, and that of a new one", [granted("old", 5_100), granted("silent"), granted("new", 40)], 140],
    ["numbers that come late tell of a past", [granted("old", 5_100), granted("silent", 7_000)], 140],
    ["an end takes nothing away", [granted("silent", 7_001)], 141],
    ["a counter that began anew counts from nothing", [granted("silent", 9)], 150],
    ["a reading that is missing changes nothing", [granted("silent")], 150],
    ["and is made up for", [granted("silent", 12)], 153],
    ["a grant on its way begins at nothing", [{ ...granted("late"), state: "granting" }], 153],
    ["so that all of it counts", [granted("late", 7)], 160],
  ];
  for (const [what, sessions, from] of looks) {
    expect(await scrape(...sessions), what).toEqual([from, 10 * from]);
  }
});

test("docs/metrics.md names every metric, and no other", async () => {
  const { types } = parse(await new Metrics().text(fakeAgent().views));
  const docs = readFileSync(join(import.meta.dirname, "../../docs/metrics.md"), "utf8");
  const documented = [...docs.matchAll(/^\| `(connector_[a-z_]+)/gm)].map(([, name]) => name);
  expect(documented.toSorted()).toEqual([...types.keys()].toSorted());
});

test("off opens no port", async () => {
  const { views } = fakeAgent();
  await using server = await startHealthServer({ listen: "off", views, metrics: new Metrics(), log: silent });
  expect(server.port).toBeUndefined();
});

test("a port that stays in use is tried again and again, and nothing piles up", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on("warning", onWarning);
  const listens = vi.spyOn(Server.prototype, "listen");
  onTestFinished(() => {
    process.off("warning", onWarning);
    listens.mockRestore();
    other.close();
  });
  const options = { listen: `127.0.0.1:${port}`, metrics: new Metrics(), log: silent, retryMs: 1 };
  await using _ = await startHealthServer({ ...options, views: fakeAgent().views });
  await until("20 tries", () => listens.mock.calls.length > 20);
  expect(warnings).toEqual([]);
});

test("a port in use is a warning, and is served once it is free", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => lines.push(line) });
  const { views } = fakeAgent();
  const listen = `127.0.0.1:${port}`;
  await using server = await startHealthServer({ listen, views, metrics: new Metrics(), log, retryMs: 20 });
  expect(server.port).toBeUndefined();
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: 40, code: "health.unusable", listen });
  other.close();
  await until("the port is served", () => server.port === port);
  expect((await fetch(`http://${listen}/livez`)).status).toBe(200);
  expect(lines).toHaveLength(2);
});
