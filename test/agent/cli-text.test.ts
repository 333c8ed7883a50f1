import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { startSocketServer } from "../../agent/adapters/socket-server.ts";
import { prefixesReport } from "../../agent/cli/views/prefixes.ts";
import { byteSize, textWidth } from "../../protocol/node/text.ts";
import { LeaseView, PoolView, PrefixRow, SessionView, StatusView } from "../../protocol/view.ts";
import { temporaryFolder } from "../support/folder.ts";
import type { Ended } from "../support/terminal.ts";
import {
  active,
  connector,
  draining,
  fakeAgent,
  leaving,
  nowMs,
  online,
  silent,
  unenrolled,
} from "./cli-fixture.ts";

/** Serves fixed views on a real socket and runs one command against it. */
async function run(
  args: readonly string[],
  options: { status?: StatusView } & Parameters<typeof connector>[1] = {},
): Promise<Ended & { asked: string[] }> {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const { views, actions, asked } = fakeAgent(options.status);
  await using _server = await startSocketServer({ path, views, actions, log: silent });
  return { ...(await connector([...args, "--socket", path], options)), asked };
}

const commands: readonly (readonly [
  name: string,
  args: readonly string[],
  status: StatusView,
  code: number,
])[] = [
  ["status of an active instance", ["status"], active, 0],
  ["status with conditions", ["status"], online, 1],
  ["status before enrolment", ["status"], unenrolled, 1],
  ["pools", ["pools"], active, 0],
  ["pools in trouble", ["pools"], online, 1],
  ["no pools", ["pools"], unenrolled, 1],
  ["leases", ["leases"], active, 0],
  ["leases of a user", ["leases", "--user", "alice"], active, 0],
  ["sessions", ["sessions"], active, 0],
  ["prefixes", ["prefixes"], active, 1],
  ["drain", ["drain"], active, 0],
  ["resume", ["resume"], active, 0],
  ["status of a draining instance", ["status"], draining, 1],
  ["status of an instance that leaves", ["status"], leaving, 1],
  ["drain of an instance that drains", ["drain"], draining, 0],
  ["leave --no-wait", ["leave", "--no-wait"], leaving, 0],
  ["resume of another's drain", ["resume"], { ...active, drain: ["spot"] }, 1],
];

test.each(commands)("%s, at 80 columns", async (_name, args, status, code) => {
  const ran = await run(args, { status });
  expect(ran.out).toMatchSnapshot();
  expect(ran.err).toBe("");
  for (const line of ran.out.split("\n")) expect(textWidth(line), line).toBeLessThanOrEqual(80);
  expect(ran.code).toBe(code);
});

test("in a pipe every value is whole and each row is one line", async () => {
  const { out } = await run(["leases"], { screen: undefined });
  expect(out).toContain("bartholomew.longname@example.com");
  const line = out.split("\n").find((text) => text.includes("172.18.128.178"));
  expect(line).toContain("2600:1f18:2a89:703:275::2");
  expect(line).toContain("01900002-1111-4222-8333-444455556666");
  const sessions = await run(["sessions"], { screen: undefined });
  expect(sessions.out).toMatch(/bob .* refused .* pool\.full/);
  expect(sessions.out).toMatch(/alice .* 1\.2 MB +53 GB +1m 12s ago +198\.51\.100\.7:40012 +12s ago/);
});

test.each([
  ["status", StatusView],
  ["pools", z.array(PoolView)],
  ["leases", z.array(LeaseView)],
  ["sessions", z.array(SessionView)],
  ["prefixes", z.array(PrefixRow)],
  ["drain", StatusView],
  ["resume", StatusView],
  ["leave --no-wait", StatusView],
] as const)("%s -o json is the view of the protocol", async (command, schema: z.ZodType) => {
  const { out } = await run([...command.split(" "), "-o", "json"]);
  const json: unknown = JSON.parse(out);
  expect(schema.parse(json)).toEqual(json);
});

test.each([
  [["leases", "--state", "cooling"], ["172.18.128.186"]],
  [["leases", "--state", "away"], ["172.18.128.178"]],
  [["leases", "--device", "01900002"], ["172.18.128.178"]],
  [["leases", "--pool", "Pool2"], []],
  [["leases"], ["172.18.128.177", "172.18.128.178", "172.18.128.186"]],
] as const)("%j shows the leases asked for, by address", async (args, addresses) => {
  const { out } = await run([...args, "-o", "json"]);
  expect(JSON.parse(out).map((lease: LeaseView) => lease.ipv4)).toEqual(addresses);
});

test("prefixes --refresh has the metadata service read first", async () => {
  const { asked } = await run(["prefixes", "--refresh"]);
  expect(asked).toEqual(["verify"]);
});

test.each([
  ["routed", "Nothing to do.\n"],
  ["absent", "`connector status` says why.\n"],
  ["unknown", "`connector status` says why.\n"],
] as const)("a prefix that is as it should be, and %s in the kernel", (dataPath, end) => {
  const row = {
    prefix: "172.18.128.176/28",
    pool: "Pool1",
    imds: "present",
    dataPath,
    verdict: "ok",
  } as const;
  const { exitCode, text } = prefixesReport([row]);
  expect(exitCode).toBe(0);
  expect(text({ width: undefined, nowMs, paint: (_, words) => words }).endsWith(end)).toBe(true);
});

test("drain and resume reach the agent", async () => {
  expect((await run(["drain"])).asked).toEqual(["drain"]);
  expect((await run(["resume"])).asked).toEqual(["resume"]);
});

test("color only on a terminal, and not when it is unwanted", async () => {
  const colored = "\u001b[";
  expect((await run(["status"], { env: {} })).out).toContain(colored);
  expect((await run(["status"], { env: { NO_COLOR: "1" } })).out).not.toContain(colored);
  expect((await run(["status"], { env: {}, screen: undefined })).out).not.toContain(colored);
  expect((await run(["status", "--color", "never"], { env: {} })).out).not.toContain(colored);
});

test("a name from the controller cannot steer the terminal", async () => {
  const { out } = await run(["status"], { status: { ...active, name: "evil\u001b[2Jname" } });
  expect(out).not.toContain("\u001b");
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1 kB"],
  [9_999, "9.9 kB"],
  [999_999, "999 kB"],
  [1_250_000, "1.2 MB"],
  [53_999_999_999, "53 GB"],
  [2 ** 53, "9 PB"],
])("%d bytes are %s", (bytes, text) => {
  expect(byteSize(bytes)).toBe(text);
});
