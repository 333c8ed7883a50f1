import { execFile } from "node:child_process";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { Ec2 } from "../../agent/adapters/ec2.ts";
import { startEc2 } from "../../lab/ec2/server.ts";
import { slotsOf } from "../../lab/ec2/subnet.ts";
import { type InstanceRole, instanceNumbered } from "../../lab/imds/instance.ts";
import { start as startImds } from "../lab/imds-fixture.ts";
import { temporaryFolder } from "../support/folder.ts";

const main = join(import.meta.dirname, "../../agent/cli/main.ts");

const role: InstanceRole = {
  name: "connector",
  accessKeyId: "ASIALABLABLABLABLAB1",
  secretAccessKey: "not-a-secret",
  sessionToken: "not-a-token",
};
const nobody = { AWS_ENDPOINT_URL_EC2: "http://127.0.0.1:9" };

/** An instance with its metadata service, and EC2. The command is a process, because AWS's client reads its environment. */
async function account(options: { propagationMs?: number; hasRole?: boolean } = {}) {
  const { propagationMs = 0, hasRole = true } = options;
  const instance = instanceNumbered(1, hasRole ? { role } : {});
  const imds = await startImds({ instance, propagationMs });
  const neighbour = await startImds({ instance: instanceNumbered(2) });
  const ec2 = await startEc2({ worlds: [imds.world, neighbour.world], region: "us-east-1" });
  const folder = temporaryFolder();
  const [eni] = instance.interfaces;
  return {
    imds,
    ec2,
    neighbour,
    eni,
    assigned: () => imds.world.assignedPrefixes(eni.mac),
    run: (args: string, env: Record<string, string> = {}) =>
      assign(args, {
        HOME: folder.path,
        PATH: process.env.PATH ?? "",
        AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.url,
        AWS_ENDPOINT_URL_EC2: ec2.url,
        ...env,
      }),
    [Symbol.asyncDispose]: async () => {
      folder[Symbol.dispose]();
      for (const service of [ec2, neighbour, imds]) await service[Symbol.asyncDispose]();
    },
  };
}

function assign(args: string, env: Record<string, string>) {
  const words = [main, "prefixes", "assign", ...args.split(" ").filter((word) => word !== "")];
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = execFile(process.execPath, words, { env, timeout: 60_000 }, (_error, out, err) => {
      resolve({ code: child.exitCode ?? -1, out, err });
    });
  });
}

afterEach(() => {
  vi.unstubAllEnvs();
});

test("prefixes are assigned, seen in the metadata, and the next step names them with those that were there", async () => {
  await using aws = await account({ propagationMs: 1_000 });
  aws.imds.assignPrefix("172.18.128.32/28");
  const { code, out } = await aws.run("--ipv4 2 --ipv6 1");
  expect(out).toBe(`Assigned to ${aws.eni.interfaceId}:
  172.18.128.16/28
  172.18.128.48/28
  2600:1f18:2a89:703:1::/80

Give the same prefixes to pools of this instance, on a host with an admin token (all of them: what is not named is taken away):
  connector-controller instance pools set INSTANCE POOL=172.18.128.32/28,172.18.128.16/28,172.18.128.48/28,2600:1f18:2a89:703:1::/80
`);
  expect(code).toBe(0);
  expect(aws.imds.world.view(Date.now()).prefixesByMac.get(aws.eni.mac)).toEqual(aws.assigned());
});

test("a dry run asks only what changes nothing", async () => {
  await using aws = await account();
  const { code, out } = await aws.run("--ipv4 2 --ipv6 1 --dry-run");
  expect(out).toContain("Nothing was changed.");
  expect(out).toMatch(/IPv4 +0 +2 +14\n/);
  expect(code).toBe(0);
  expect(aws.ec2.requests.map(({ action }) => action).sort()).toEqual([
    "DescribeInstanceTypes",
    "DescribeNetworkInterfaces",
  ]);
});

test("for programs", async () => {
  await using aws = await account();
  const { out } = await aws.run("--ipv4 1 -o json");
  expect(JSON.parse(out)).toEqual({
    interface: aws.eni.interfaceId,
    assigned: ["172.18.128.16/28"],
    prefixes: ["172.18.128.16/28"],
    seen: true,
  });
});

test("more than the interface takes is refused before anything is assigned", async () => {
  await using aws = await account();
  const { code, err } = await aws.run("--ipv4 15 --ipv6 1");
  expect(err).toContain("no room for so many prefixes");
  expect(err).toContain("wanted 15, free 14");
  expect(code).toBe(2);
  expect(aws.assigned()).toEqual({ ipv4: [], ipv6: [] });
});

test("without leave to ask for the type's limit, EC2 itself says that there is no room", async () => {
  await using aws = await account();
  aws.ec2.allow(["ec2:DescribeNetworkInterfaces", "ec2:AssignPrivateIpAddresses", "ec2:AssignIpv6Addresses"]);
  const { code, err } = await aws.run("--ipv4 15");
  expect(err).toContain("no room for so many prefixes");
  expect(code).toBe(2);
  expect((await aws.run("--ipv4 14")).code).toBe(0);
  expect(aws.assigned().ipv4).toHaveLength(slotsOf("c5.xlarge", 4) - 1);
});

test("when the second family fails, what the first was given is told, and nothing is undone", async () => {
  await using aws = await account();
  aws.ec2.refuseNext("AssignIpv6Addresses", "InsufficientCidrBlocks", "not enough free cidr blocks");
  const { code, out } = await aws.run("--ipv4 1 --ipv6 1");
  expect(code).toBe(1);
  expect(out).toContain("172.18.128.16/28");
  expect(out).toContain("The subnet has no free block of this size");
  expect(aws.assigned()).toEqual({ ipv4: ["172.18.128.16/28"], ipv6: [] });
});

test("an answer that is lost is no reason to assign twice", async () => {
  await using aws = await account();
  aws.ec2.loseNextAnswer("AssignPrivateIpAddresses");
  const { code, out } = await aws.run("--ipv4 2");
  expect(aws.assigned().ipv4).toHaveLength(2);
  expect(out).toContain("172.18.128.16/28\n  172.18.128.32/28");
  expect(code).toBe(0);
});

test("no two interfaces of a subnet are given the same", async () => {
  await using aws = await account();
  aws.neighbour.assignPrefix("172.18.128.16/28");
  await aws.run("--ipv4 1");
  expect(aws.assigned().ipv4).toEqual(["172.18.128.32/28"]);
});

test.for([
  ["UnauthorizedOperation", 403, "aws.unauthorised"],
  ["RequestLimitExceeded", 503, "aws.throttled"],
  ["InsufficientCidrBlocks", 400, "ec2.subnet-full"],
  ["PrivateIpAddressLimitExceeded", 400, "ec2.interface-full"],
  ["InvalidNetworkInterfaceID.NotFound", 400, "ec2.interface-unknown"],
  ["OperationNotPermitted", 400, "aws.refused"],
] as const)(
  "EC2's %s has words of ours, with its own, and nothing is assigned",
  async ([code, status, ours]) => {
    await using aws = await account();
    vi.stubEnv("AWS_ENDPOINT_URL_EC2", aws.ec2.url);
    vi.stubEnv("AWS_ACCESS_KEY_ID", role.accessKeyId);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", role.secretAccessKey);
    aws.ec2.refuseNext("AssignPrivateIpAddresses", code, "EC2's own words", status);
    const answer = await new Ec2("us-east-1").assign(aws.eni.interfaceId, 4, 1);
    expect(answer).toMatchObject({
      ok: false,
      failure: { code: ours, facts: { action: "ec2:AssignPrivateIpAddresses", says: "EC2's own words" } },
    });
    expect(aws.assigned()).toEqual({ ipv4: [], ipv6: [] });
  },
);

test("without a role, without EC2, without the metadata service", async () => {
  await using aws = await account({ hasRole: false });
  const credentials = await aws.run("--ipv4 1");
  expect(credentials.err).toContain("There are no AWS credentials");
  expect(credentials.code).toBe(2);
  const keys = { AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "x" };
  const unreachable = await aws.run("--ipv4 1", { ...nobody, ...keys });
  expect(unreachable.err).toContain("AWS's API does not answer");
  expect(unreachable.err).toContain("ECONNREFUSED");
  const metadata = await aws.run("--ipv4 1", { AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:9" });
  expect(metadata.err).toContain("The instance metadata service does not answer");
  expect(metadata.code).toBe(2);
});

test("wrong usage is told before AWS is asked", async () => {
  await using aws = await account();
  for (const [args, words] of [
    ["", "say how many"],
    ["--ipv4 0", "say how many"],
    ["--ipv4 50", "0 to 49, not 50"],
    ["--ipv4 -1", "0 to 49, not -1"],
    ["--ipv4 1.5", "0 to 49, not 1.5"],
    ["--ipv4 two", "0 to 49, not two"],
  ] as const) {
    const { code, err } = await aws.run(args);
    expect(err).toContain(words);
    expect(code).toBe(64);
  }
  expect(aws.ec2.requests).toEqual([]);
});
