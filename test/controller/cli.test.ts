import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { administratorOf, runHere } from "./run-cli.ts";
import { ids, type Served, serveReal } from "./served.ts";

const script = join(import.meta.dirname, "..", "..", "controller", "cli", "main.ts");
const first = "aws-us-east-1-con-00001";

let served: Served;
let env: Record<string, string>;
beforeAll(async () => {
  served = await serveReal();
  env = administratorOf(served);
});
afterAll(() => served[Symbol.asyncDispose]());

const run = (args: readonly string[], environment = env) => runHere(args, environment);

/** Runs it as a process of its own. */
function spawned(args: readonly string[], environment = env) {
  const child = spawn(process.execPath, [script, ...args], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const seen = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    seen.out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    seen.err += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { seen, ended, kill: (signal: NodeJS.Signals) => child.kill(signal) };
}

async function fine(...args: string[]): Promise<string> {
  const { code, out, err } = await run(args);
  expect(code, err).toBe(0);
  return out;
}

describe("text for people", () => {
  test("the instance list has the product's columns", async () => {
    await fine(
      "instance",
      "pools",
      "set",
      first,
      "Pool1=172.18.128.176/28,2600:1f18:2a89:703::/80",
      "Pool2=172.18.128.192/28",
    );
    expect(await fine("instance", "list", "--connector", "prod")).toBe(
      `Name                     Provider Instance Id  Status   Management IP   Active Agents  User Group Associations  Version  Up Since
aws-us-east-1-con-00001  i-0e306ccdf94ab1201   Offline  172.18.140.76               0  Pool1 +1                 -        -
aws-us-east-1-con-00002  i-0e306ccdf94ab1202   Offline  172.18.139.171              0  -                        -        -
`,
    );
  });

  test("an instance shows its pools", async () => {
    expect(await fine("instance", "show", first)).toBe(
      `Name                  aws-us-east-1-con-00001
Connector             prod
Provider Instance Id  i-0e306ccdf94ab1201
Status                Offline
Management IP         172.18.140.76
Active Agents         0
Sessions              0
Judgement             not judged yet, it may come back
Version               -
Up Since              -
Process               -
Link                  down
Last Seen             -
Enrolled              2024-10-28 10:48:06Z
AWS Account           123456789012
Zone                  us-east-1a
VPC and Subnet        vpc-0a1b2c3d4e5f67890
                      subnet-0a1b2c3d4e5f67890
VPC CIDR Blocks       172.18.0.0/16
                      2600:1f18:2a89:700::/56
Prefixes              not reported yet

Pool Name  User Group  Leased  Cooling  Free  Total  IP Pools
Pool1      Sales            -        -     -      -  172.18.128.176/28
                                                     2600:1f18:2a89:703::/80
Pool2      Guests           -        -     -      -  172.18.128.192/28

The link is down. Look on the instance: connector status
`,
    );
  });

  test("a connector is created from options and shown", async () => {
    const args = [
      "--mode",
      "active-active",
      "--region",
      "eu-central-1",
      "--dns",
      "10.1.0.2",
      "--dns-ipv6",
      "2001:db8::53",
    ];
    await fine("group", "create", "Interns");
    const text = await fine(
      "connector",
      "create",
      "berlin",
      ...args,
      "--group",
      "Interns=Pool1:90",
      "--ipv6-pools",
      "within",
      "--network",
      "10.1.0.0/16",
      "--network",
      "2001:db8::/48",
    );
    expect(text.replace(/Created {2,}.*/, "")).toBe(
      `Name                 berlin
Hosting Environment  aws
Deployment Mode      active-active
Region               eu-central-1
Status               Configured
Instances            0 active of 0, 64 at most
Sessions             0
DNS Servers          10.1.0.2, 2001:db8::53
User IP Management   Static IP Pool
IPv6 Pools           within a /80
Domain Networks      those of the VPC, 10.1.0.0/16, 2001:db8::/48
AWS Accounts         any
VPC                  that of the first instance


User Group  Pool Name  Lease Time (min)
Interns     Pool1                    90
`,
    );
    expect(
      await fine(
        "resource",
        "add",
        "berlin",
        "wiki",
        "--domain",
        "wiki.example.internal",
        "--protocol",
        "tcp",
        "--port",
        "443,8000-8100",
        "--group",
        "Interns",
      ),
    ).toBe(
      `Resource  Destination            Protocol  Ports          Server-Initiated  User Groups
wiki      wiki.example.internal  tcp       443,8000-8100  no                Interns
`,
    );
    expect(await fine("resource", "list", "berlin")).toContain("wiki.example.internal");
    expect(await fine("resource", "remove", "berlin", "wiki")).toBe("Resource wiki is removed.\n");
    expect(await fine("connector", "list")).toBe(
      `Name    Deployment Mode  Region        Status      Active Instances  Sessions
prod    active-active    us-east-1     Offline               0 of 2         0
berlin  active-active    eu-central-1  Configured            0 of 0         0
`,
    );
    expect(await fine("group", "list")).toBe(
      `Name     Connector  Pool Name  Devices
Sales    prod       Pool1            2
Guests   prod       Pool2            1
Interns  berlin     Pool1            0
`,
    );
    expect(await fine("connector", "delete", "berlin")).toBe("Connector berlin is deleted.\n");
    expect(await fine("group", "delete", "Interns")).toBe("Group Interns is deleted.\n");
  });

  test("sessions and devices are listed in pages", async () => {
    expect(await fine("session", "list", "--limit", "2")).toBe(
      `Name     Username           State                           Instance  Pool Name  IPv4  IPv6  Session Id
laptop1  user1@example.com  waiting: placement.no-instance  -         -          -     -     ${ids.session(1)}
laptop2  user2@example.com  waiting: placement.no-instance  -         -          -     -     ${ids.session(2)}

There may be more: --after ${ids.session(2)}
`,
    );
    expect(await fine("device", "list", "--after", ids.device(2))).toBe(
      `Name     Username           User Group  Last Seen  Public IP  Host OS  App Version  Instance  Path  Device Id
laptop3  user3@example.com  Sales       -          -          -        -            -         -     ${ids.device(3)}
`,
    );
    expect(await fine("session", "end", ids.session(3))).toBe(`Session ${ids.session(3)} is ended.\n`);
    expect(await fine("device", "remove", ids.device(3))).toBe("laptop3 is removed.\n");
  });

  test("the status names what needs a person and exits 1", async () => {
    const { code, out } = await run(["status"]);
    expect([code, out]).toEqual([
      1,
      `The controller is ready.

Name  Deployment Mode  Region     Status   Active Instances  Sessions
prod  active-active    us-east-1  Offline            0 of 2         0

Instances  Count
Offline        2

prod: none of its 2 instances is Active
  → connector-controller instance list --connector prod
aws-us-east-1-con-00001: is Offline
  → Look on the instance: connector status
aws-us-east-1-con-00002: is Offline
  → Look on the instance: connector status
`,
    ]);
  });
});

describe("secrets", () => {
  test("stand alone on standard output, so that a shell can take them", async () => {
    const { out, err } = await run(["otp", "create", "prod"]);
    expect(out).toMatch(/^otp_\w+\n$/);
    expect(err).toContain("lets one instance into prod");
    const quiet = await run([
      "device-code",
      "create",
      "--user",
      "alice@example.com",
      "--group",
      "Sales",
      "--quiet",
    ]);
    expect([quiet.out, quiet.err]).toEqual([expect.stringMatching(/^code_\w+\n$/), ""]);
    const { secret } = JSON.parse(await fine("otp", "create", "prod", "-o", "json"));
    expect(secret).toMatch(/^otp_/);
    expect(await fine("otp", "list")).not.toContain(secret);
  });

  test("go to a new file that only its owner reads, or are not made at all", async () => {
    const file = join(served.folder, "connector.otp");
    expect(await fine("otp", "create", "prod", "--out", file)).not.toContain("otp_");
    expect(readFileSync(file, "utf8")).toMatch(/^otp_\w+\n$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const count = async () => JSON.parse(await fine("otp", "list", "-o", "json")).items.length;
    const before = await count();
    const again = await run(["otp", "create", "prod", "--out", file]);
    expect([again.code, again.err]).toEqual([64, expect.stringContaining("EEXIST")]);
    expect(await count()).toBe(before);
    const missing = join(served.folder, "missing.otp");
    expect((await run(["otp", "create", "nope", "--out", missing])).code).toBe(1);
    expect(() => statSync(missing)).toThrow("ENOENT");
  });

  test("of the first admin come straight from the state directory, also while the controller runs", async () => {
    const { code, out } = await run(
      ["token", "create", "--state-dir", served.stateDir, "--name", "second"],
      {},
    );
    expect([code, out]).toEqual([0, expect.stringMatching(/^token_\w+\n$/)]);
    const { CONNECTOR_URL = "", CONNECTOR_CA_FILE = "" } = env;
    const withIt = { CONNECTOR_URL, CONNECTOR_CA_FILE, CONNECTOR_ADMIN_TOKEN: out.trim() };
    const used = await until("the new token works", async () => {
      const answer = await run(["token", "list", "-o", "json"], withIt);
      return answer.code === 0 ? answer : undefined;
    });
    expect(JSON.parse(used.out).items).toContainEqual(
      expect.objectContaining({ name: "second", createdBy: "local" }),
    );
    expect(await fine("token", "revoke", "second")).toBe("Token second is revoked.\n");
    expect((await run(["token", "list"], withIt)).code).toBe(1);
  });

  test("in a file that others may read are used with a warning", async () => {
    const file = join(served.folder, "open.token");
    writeFileSync(file, served.token, { mode: 0o644 });
    const { code, err } = await run(["token", "list", "--token-file", file]);
    expect([code, err]).toEqual([
      0,
      `connector-controller: others may read the token in ${file}\n  → chmod 600 ${file}\n`,
    ]);
  });
});

describe("refusals and exit codes", () => {
  test("1: the controller said no, with every problem and what to do", async () => {
    const { code, out, err } = await run([
      "connector",
      "create",
      "a/b",
      "--mode",
      "active-active",
      "--region",
      "us_east",
      "--dns",
      "10.0.0.2/8",
    ]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toBe(
      `connector-controller: A field of the request is wrong (field name, problems 3) [admin.invalid]
  name: "a/b" has the wrong form. Letters, digits, spaces and . _ @ + - only.
  region: "us_east" has the wrong form. A region or site like us-east-1.
  dns.primary: "10.0.0.2/8" does not fit. An IPv4 address like 10.0.1.17.
`,
    );
    const overlap = await run([
      "instance",
      "pools",
      "set",
      "aws-us-east-1-con-00002",
      "Pool1=172.18.128.176/28",
      "-o",
      "json",
    ]);
    expect(overlap.code).toBe(1);
    expect(JSON.parse(overlap.out).error).toMatchObject({
      code: "prefix.overlap",
      facts: { instance: first, pool: "Pool1" },
    });
    expect(overlap.err).toContain("[prefix.overlap]");
  });

  test.each([
    [
      "--cidr 10.0.0.5/8",
      "destination.cidr",
      "10.0.0.5/8",
      "Give 10.0.0.0/8: bits are set behind the length.",
    ],
    ["--cidr 10.0.0.5", "destination.cidr", "10.0.0.5", "Give 10.0.0.5/32: the length is missing."],
    ["--cidr 2001:DB8::/32", "destination.cidr", "2001:DB8::/32", "Give 2001:db8::/32, its canonical form."],
    [
      "--domain app.*.internal",
      "destination.domain",
      "app.*.internal",
      "A domain like *.example.internal, with * as its whole first label and nowhere else.",
    ],
    [
      "--cidr 10.0.0.0/8 --protocol tcp --port 90-80",
      "ports.0.to",
      "80",
      "`from` must not be greater than `to`.",
    ],
    ["--cidr 10.0.0.0/8 --protocol tcp --port 0", "ports.0.from", "0", "Give at least 1."],
  ])("1: a resource with %s, which is not added", async (args, field, value, fix) => {
    const before = await fine("resource", "list", "prod");
    const { code, err } = await run([
      "resource",
      "add",
      "prod",
      "odd",
      "--group",
      "Sales",
      ...args.split(" "),
    ]);
    expect(code).toBe(1);
    expect(err).toContain(`\n  ${field}: "${value}" `);
    expect(err).toContain(`. ${fix}\n`);
    expect(await fine("resource", "list", "prod")).toBe(before);
  });

  test.each<[string, string[], Record<string, string>, string]>([
    ["nobody answers", ["--controller", "https://127.0.0.1:1"], {}, "admin.unreachable"],
    ["a certificate of another CA", [], { CONNECTOR_CA_FILE: "" }, "admin.untrusted"],
  ])("2: cannot tell: %s", async (_, args, change, expected) => {
    const { code, err } = await run(["connector", "list", ...args], { ...env, ...change });
    expect([code, err]).toEqual([2, expect.stringContaining(`[${expected}]`)]);
  });

  test("1: a wrong token", async () => {
    const { code, err } = await run(["connector", "list"], {
      ...env,
      CONNECTOR_ADMIN_TOKEN_FILE: "",
      CONNECTOR_ADMIN_TOKEN: "wrong",
    });
    expect([code, err]).toEqual([1, expect.stringContaining("[admin.unauthorised]")]);
  });

  test.each<[string, string[], string]>([
    ["no command", [], "name a command"],
    ["a mistyped command", ["conector"], "Did you mean `connector-controller connector`?"],
    ["a mistyped action", ["instance", "lst"], "Did you mean list?"],
    ["a mistyped option", ["instance", "list", "--wach"], "Unknown argument: wach"],
    ["a missing argument", ["otp", "create"], "Not enough non-option arguments"],
    ["two ways at once", ["otp", "create", "x", "--out", "a", "--quiet"], "mutually exclusive"],
    ["a token on the command line", ["connector", "list", "--token", "x"], "Unknown argument"],
    ["no such watch", ["instance", "list", "--watch", "0"], "--watch takes seconds"],
    ["no controller", ["connector", "list", "--controller", ""], "[admin.no-controller]"],
    [
      "plain HTTP to elsewhere",
      ["connector", "list", "--controller", "http://192.0.2.1"],
      "https, or http on loopback",
    ],
    ["a missing CA file", ["connector", "list", "--ca-file", "/nowhere"], "[admin.file]"],
    ["nothing to change", ["connector", "update", "prod"], "nothing to change is named"],
    ["no pools", ["instance", "pools", "set", first], "--none"],
    ["a malformed pool", ["instance", "pools", "set", first, "172.18.0.0/28"], "POOL=PREFIX"],
    [
      "a malformed port",
      ["resource", "add", "prod", "x", "--cidr", "10.0.0.0/8", "--group", "Sales", "--port", "http"],
      "443 or 8000-8100",
    ],
    [
      "an empty port",
      ["resource", "add", "prod", "x", "--cidr", "10.0.0.0/8", "--group", "Sales", "--port", "443,"],
      "443 or 8000-8100",
    ],
    [
      "a range without an end",
      ["resource", "add", "prod", "x", "--cidr", "10.0.0.0/8", "--group", "Sales", "--port", "80-"],
      "443 or 8000-8100",
    ],
    ["a file that is no YAML", ["connector", "create", "x", "--file", script], "[admin.file]"],
  ])("64: %s", async (_, args, expected) => {
    const { code, err } = await run(args);
    expect([code, err]).toEqual([64, expect.stringContaining(expected)]);
  });
});

test("a connector may come from a YAML file, of which options win", async () => {
  const file = join(served.folder, "paris.yaml");
  writeFileSync(file, "mode: standalone\nregion: eu-west-3\ndns: { primary: 10.2.0.2 }\nresources: []\n");
  const created = JSON.parse(
    await fine("connector", "create", "paris", "--file", file, "--region", "eu-west-1", "-o", "json"),
  );
  expect(created).toMatchObject({ name: "paris", mode: "standalone", region: "eu-west-1", hosting: "aws" });
  await fine("connector", "delete", "paris");
});

test("drain and resume", async () => {
  const text = /^\S+ takes no new sessions:\n {2}because of admin, since .*Z\n {2}nobody is left; 0 moved\n$/;
  expect(await fine("instance", "drain", first)).toMatch(text);
  expect(await fine("instance", "show", first)).toMatch(/^Draining +because of admin, since /m);
  expect(await fine("instance", "list")).toMatch(
    /^aws-us-east-1-con-00001: draining since .*Z \(admin\)\n {2}nobody is left; 0 moved$/m,
  );
  expect(await fine("instance", "drain", first, "--wait")).toMatch(
    /^.*Z {2}nobody is left\n\S+ takes no new/,
  );
  expect(await fine("instance", "resume", first)).toBe(`${first} takes new sessions when it is Active.\n`);
});

test("the audit log is listed and followed", async () => {
  const { items } = JSON.parse(await fine("audit", "list", "--limit", "1", "-o", "json"));
  expect(await fine("audit", "list", "--limit", "1")).toMatch(
    /^Time +Actor +Action +Subject\n.*token:admin.*\n\nThere may be more: --before \d+\n$/,
  );
  const { seen, ended, kill } = spawned(["audit", "list", "--follow", "--limit", "1", "-o", "json"]);
  const lines = () =>
    seen.out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  await until("the last entry", () => lines().length === 1);
  await fine("group", "create", "Followed");
  await fine("group", "delete", "Followed");
  await until("two more entries", () => lines().length === 3);
  expect(lines().map(({ id }) => id)).toEqual([items[0].id, items[0].id + 1, items[0].id + 2]);
  kill("SIGINT");
  expect(await ended).toBe(0);
});

test("watching prints one block after the other into a pipe and ends with 0", async () => {
  const { seen, ended, kill } = spawned(["instance", "list", "--watch", "0.2", "--connector", "prod"]);
  await until("two blocks", () => seen.out.split("--- ").length > 2);
  kill("SIGTERM");
  expect(await ended).toBe(0);
  expect(seen.out).toMatch(/^--- \d{4}-.*Z\nName +Provider Instance Id/);
});

test.each<[number, string[], Record<string, string>]>([
  [0, ["connector", "list"], {}],
  [0, ["--version"], {}],
  [1, ["connector", "show", "nope"], {}],
  [2, ["connector", "list", "--controller", "https://127.0.0.1:1"], {}],
  [64, ["connector", "lst"], {}],
  [78, ["serve", "--listen", "0.0.0.0:0", "--aws-certificates", "/nowhere"], {}],
])("the process exits with %i after %j", async (code, args) => {
  const { seen, ended } = spawned(args);
  expect([await ended, seen.out !== "", seen.err !== ""]).toEqual([code, code === 0, code !== 0]);
});

test("the OpenAPI text needs no controller", async () => {
  const { code, out } = await run(["openapi"], {});
  expect([code, JSON.parse(out).openapi]).toEqual([0, "3.1.0"]);
});

test("completion scripts are those of bash and zsh", async () => {
  const [bash, zsh] = [spawned(["completion", "bash"]), spawned(["completion", "zsh"])];
  expect([await bash.ended, await zsh.ended]).toEqual([0, 0]);
  expect(bash.seen.out).toContain(
    "complete -o bashdefault -o default -F _connector-controller_yargs_completions",
  );
  expect(zsh.seen.out).toMatch(/^#compdef connector-controller/);
});
