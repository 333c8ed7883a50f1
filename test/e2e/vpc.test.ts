import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { must } from "../../lab/vpc/commands.ts";
import { listNamespaces } from "../../lab/vpc/namespaces.ts";
import { programOf } from "../../protocol/node/processes.ts";
import { obstacle, title } from "../lab/vpc-fixture.ts";
import { until } from "../support/until.ts";
import { childOf, copied, isAlive, NpmStart } from "./npm-start.ts";

/** `npm start` as root: packets flow between machines that are network namespaces. */
vi.setConfig({ testTimeout: 120_000 });
const small = ["--instances", "2", "--devices", "2"];
let npm: NpmStart;

beforeAll(() => {
  npm = new NpmStart();
});
afterEach(() => npm.end());
afterAll(() => npm[Symbol.dispose]());

describe.skipIf(obstacle !== undefined)(title("npm start in a VPC"), () => {
  test("--once: every device is seen with its leased addresses, by name, over both families; nothing left", async () => {
    const { output, ...ended } = await npm.whole("npm", "start", "--silent", "--", "--once");
    expect(ended, output).toEqual({ code: 0, signal: null });
    expect(output).toContain("packets flow: every machine is a network namespace\n");
    expect(output).not.toContain("Warning");
    const row = /^(\w+)-laptop +172\.18\.\d+\.\d+ +\d+ +2600:1f18:2a89:703:[\da-f:]+ +\d+ +closed$/gm;
    const proven = [...output.matchAll(row)].map(([, user]) => user);
    expect(proven).toEqual([
      "ana",
      "bruno",
      "chen",
      "dana",
      "emeka",
      "farah",
      "goran",
      "hana",
      "ines",
      "jun",
    ]);
    expect(npm.runFolders()).toEqual([]);
  });

  test("live: lines to copy work on hosts, devices ask, cables are cut, Ctrl-C ends everything", async () => {
    const lab = await npm.startLive(...small);
    const { pids, prefix } = await ranIn(childOf(lab));
    const { lines, environment } = copied(lab);
    const onHosts = lines.filter((text) => text.startsWith("on "));
    const shown = await Promise.all(onHosts.map((text) => npm.shell(`${environment} && ${text}`)));
    expect(shown.map(({ code, output }) => `${code} ${output.split("\n", 1)[0]}`)).toEqual([
      expect.stringMatching(/^[01] ok {4}parameters .* is complete$/),
      "0 table inet connector {",
      "0 interface: connector0",
      expect.stringMatching(/^0 \{"application":"web","address":"2600:1f18:2a89:703:\S+","port":\d+\}$/),
    ]);
    expect(lab.output()).toMatch(/^ana-laptop +con-0000[12] +172\.18\.128\.\d+ /m);
    const url = "http://any.apps.corp.internal/";
    expect(await npm.play("ask", "ana-laptop", url, "-6")).toMatchObject({
      code: 0,
      output: expect.stringContaining('"address":"2600:1f18:2a89:703:'),
    });
    expect((await npm.play("ask", "ana-laptop", "http://web.corp.internal:8080/")).code).toBe(1);
    await npm.play("unplug", "ana-laptop");
    expect((await npm.play("ask", "ana-laptop", url)).code).toBe(1);
    await npm.play("plug", "ana-laptop");
    await until("an answer", async () => (await npm.play("ask", "ana-laptop", url)).code === 0, 20_000);
    process.kill(-(lab.child.pid ?? 0), "SIGINT");
    expect(await lab.ended, lab.output()).toEqual({ code: 0, signal: null });
    expect(await namespacesLike(prefix)).toEqual([]);
    // Those who were killed at the end may not have come to it yet.
    await until("no process", () => !pids.some(isAlive));
    expect(npm.runFolders()).toEqual([]);
  });

  test("killed: what outlives an agent on purpose ends too, and the namespaces with it", async () => {
    const lab = await npm.startLive(...small);
    const { pids, prefix, programs } = await ranIn(childOf(lab));
    expect(programs).toEqual(expect.arrayContaining(["wireguard-go", "dnsmasq"]));
    process.kill(childOf(lab), "SIGKILL");
    await until("no namespace", async () => (await namespacesLike(prefix)).length === 0);
    await until("no process", () => !pids.some(isAlive));
  });
});

/** What runs on the hosts of a lab. */
async function ranIn(
  lab: number,
): Promise<{ prefix: string; pids: number[]; programs: (string | undefined)[] }> {
  const prefix = `connector-vpc-${lab}-`;
  const inEach = await Promise.all(
    (await namespacesLike(prefix)).map((name) => must(["ip", "netns", "pids", name])),
  );
  const pids = inEach.join("").split("\n").filter(Boolean).map(Number);
  // An agent's short commands are among them, and may have ended.
  const programs = pids.map(programOf);
  return { prefix, pids, programs };
}

async function namespacesLike(prefix: string): Promise<string[]> {
  return (await listNamespaces()).filter((name) => name.startsWith(prefix));
}
