import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Imds } from "../../agent/adapters/imds.ts";
import type { PrefixReading } from "../../agent/core/ports.ts";
import { instanceNumbered, interfaceNumbered } from "../../lab/imds/instance.ts";
import type { Imds as Emulator } from "../../lab/imds/server.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { start } from "../lab/imds-fixture.ts";
import { facts, ipv4Prefix, ipv6Prefix } from "./fixture.ts";

let emulator: Emulator;
let imds: Imds;

const reader = (at: { url: string }, ip?: string) =>
  new Imds({ env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: at.url }, clock: systemClock, ip });

beforeEach(async () => {
  emulator = await start();
  imds = reader(emulator);
});
afterEach(() => emulator[Symbol.asyncDispose]());

const whyUnknown = (reading: PrefixReading) => (reading.is === "unknown" ? reading.why : "known");
const tokensIssued = () => emulator.requests.filter(({ method }) => method === "PUT").length;

describe("prefixes", () => {
  test("none is known to be none", async () => {
    expect(await imds.readPrefixes()).toEqual({ is: "known", ipv4: [], ipv6: [], interface: facts });
  });

  test("all of them, in canonical form, with the interface they are on", async () => {
    emulator.assignPrefix(ipv4Prefix);
    emulator.assignPrefix("172.18.140.32/28");
    emulator.assignPrefix(ipv6Prefix);
    expect(await imds.readPrefixes()).toEqual({
      is: "known",
      ipv4: [ipv4Prefix, "172.18.140.32/28"],
      ipv6: [ipv6Prefix],
      interface: facts,
    });
  });

  test.each<[name: string, fault: Parameters<Emulator["fault"]>[0], why: FailureCode]>([
    ["5xx everywhere", { kind: "status", status: 503 }, "imds.failing"],
    ["throttling", { kind: "status", status: 429 }, "imds.failing"],
    ["5xx for one key", { kind: "status", status: 500, path: /ipv4-prefix/ }, "imds.failing"],
    ["a service switched off", { kind: "disabled" }, "imds.disabled"],
    ["a web page for everything", { kind: "html" }, "imds.malformed"],
    ["a web page for the prefixes", { kind: "html", path: /ipv4-prefix/ }, "imds.malformed"],
    ["a web page for the listing", { kind: "html", path: /macs(\/[^/]+)?$/ }, "imds.malformed"],
    ["a key that is listed and not there", { kind: "race", family: "ipv4" }, "imds.failing"],
    ["silence", { kind: "blackHole" }, "imds.unreachable"],
    ["silence for one key", { kind: "blackHole", path: /ipv4-prefix/ }, "imds.unreachable"],
    ["a hop limit that is too small", { kind: "hopLimit" }, "imds.unreachable"],
    ["an answer that is too late", { kind: "latency", delayMs: 5_000 }, "imds.unreachable"],
  ])("%s is unknown, never none; and over when it is over", async (_name, fault, why) => {
    emulator.assignPrefix(ipv4Prefix);
    emulator.fault(fault);
    expect(whyUnknown(await imds.readPrefixes())).toBe(why);
    emulator.clearFault();
    expect(await imds.readPrefixes()).toMatchObject({ is: "known", ipv4: [ipv4Prefix] });
  });

  test("who was not let run for longer than an answer may take finds it all the same", async () => {
    emulator.assignPrefix(ipv4Prefix);
    const reading = imds.readPrefixes();
    // A processor without credits, a big collection of garbage.
    setImmediate(() => {
      for (const until = performance.now() + 2_500; performance.now() < until; );
    });
    expect(await reading).toMatchObject({ is: "known", ipv4: [ipv4Prefix] });
  });

  test("nobody there", async () => {
    await emulator[Symbol.asyncDispose]();
    expect(whyUnknown(await imds.readPrefixes())).toBe("imds.unreachable");
    emulator = await start();
  });
});

describe("tokens", () => {
  test("one serves many readings", async () => {
    await Promise.all([imds.readPrefixes(), imds.readIdentityDocument(), imds.readInterface()]);
    await imds.readPrefixes();
    expect(tokensIssued()).toBe(1);
  });

  test("it is renewed at four fifths of its life", async () => {
    let nowMs = 0;
    const clock = () => ({ monotonicMs: nowMs, wallMs: nowMs });
    const slow = new Imds({ env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: emulator.url }, clock });
    await slow.readInterface();
    nowMs = 21_600_000 * 0.8 - 1;
    await slow.readInterface();
    expect(tokensIssued()).toBe(1);
    nowMs += 1;
    await slow.readInterface();
    expect(tokensIssued()).toBe(2);
  });

  test("one that ended before its time is replaced at once", async () => {
    let wallMs = Date.now();
    await using emulated = await start({ now: () => wallMs });
    const client = reader(emulated);
    expect((await client.readPrefixes()).is).toBe("known");
    wallMs += 7 * 3_600_000;
    expect((await client.readPrefixes()).is).toBe("known");
    expect(emulated.requests.filter(({ status }) => status === 401)).not.toEqual([]);
  });
});

describe("the interface", () => {
  const second = instanceNumbered(1, { interfaces: [interfaceNumbered(1), interfaceNumbered(1, 1)] });

  test("is the one that has the configured address, else the primary one", async () => {
    await using two = await start({ instance: second });
    two.assignPrefix("172.18.140.64/28", second.interfaces[1]?.mac);
    const [address] = second.interfaces[1]?.localIpv4s ?? [""];
    expect(await reader(two, address).readPrefixes()).toMatchObject({ ipv4: ["172.18.140.64/28"] });
    expect(await reader(two, "10.9.9.9").readInterface()).toMatchObject({ ok: true, value: facts });
    expect(await reader(two).readInterface()).toMatchObject({ ok: true, value: facts });
  });
});

describe("the VPC's CIDR blocks", () => {
  const blocksOf = async (at: { url: string }) => {
    const read = await reader(at).readInterface();
    return read.ok ? read.value.vpcCidrs : read.failure.code;
  };
  const withBlocks = (ipv4: readonly [string, ...string[]], ipv6: readonly string[]) =>
    start({
      instance: instanceNumbered(1, {
        interfaces: [{ ...interfaceNumbered(1), vpcIpv4CidrBlocks: ipv4, vpcIpv6CidrBlocks: ipv6 }],
      }),
    });

  test("are all of them, of both families", async () => {
    await using many = await withBlocks(["172.18.0.0/16", "100.64.0.0/20"], ["2600:1f18:2a89:700::/56"]);
    expect(await blocksOf(many)).toEqual(["172.18.0.0/16", "100.64.0.0/20", "2600:1f18:2a89:700::/56"]);
  });

  test("may be without IPv6, which has no key then", async () => {
    await using one = await withBlocks(["172.18.0.0/16"], []);
    expect(await blocksOf(one)).toEqual(["172.18.0.0/16"]);
  });

  test("that cannot be read leave the reading unknown", async () => {
    emulator.fault({ kind: "status", status: 503, path: /vpc-ipv6-cidr-blocks/ });
    expect(whyUnknown(await imds.readPrefixes())).toBe("imds.failing");
    emulator.fault({ kind: "html", path: /vpc-ipv4-cidr-blocks/ });
    expect(whyUnknown(await imds.readPrefixes())).toBe("imds.malformed");
  });
});

test("the identity document comes byte for byte", async () => {
  const read = await imds.readIdentityDocument();
  const raw = await imds.get("dynamic/instance-identity/document");
  expect(read).toMatchObject({ ok: true, value: { ec2InstanceId: "i-0e306ccdf94a1b201" } });
  expect(raw.ok && raw.value).toBe(read.ok && read.value.document);
  expect(read.ok && read.value.document).toMatch(/^\{\n {2}"accountId" : "123456789012",\n/);
});

test("a web page in the document's place is no document", async () => {
  emulator.fault({ kind: "html", path: /instance-identity/ });
  const read = await imds.readIdentityDocument();
  expect(read.ok ? "read" : read.failure.code).toBe("imds.malformed");
});

test("a key that is not there is undefined, not a failure", async () => {
  expect(await imds.get("meta-data/spot/instance-action")).toEqual({ ok: true, value: undefined });
});

test("a listing that lists something else is not a listing without prefixes", async () => {
  const server = createServer((request, response) => {
    const isToken = request.method === "PUT";
    response.end(isToken ? "token-token-token" : request.url?.endsWith("macs/") ? `${facts.mac}/` : "ok");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  expect(whyUnknown(await reader({ url: `http://127.0.0.1:${port}` }).readPrefixes())).toBe("imds.malformed");
  server.close();
});
