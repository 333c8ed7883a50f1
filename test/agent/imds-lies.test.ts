import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Imds } from "../../agent/adapters/imds.ts";
import type { PrefixReading } from "../../agent/core/ports.ts";
import { Failure } from "../../protocol/failures.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { until } from "../support/until.ts";
import { facts, ipv4Prefix, ipv6Prefix } from "./fixture.ts";

const macs = "/latest/meta-data/network/interfaces/macs/";
const other = "0e:49:61:0f:00:02";

/** What the service says, by path; a function answers by itself. Anything else is a 404. */
let says: Record<string, string | ((response: ServerResponse) => void)>;
let url: string;
const server = createServer((request, response) => {
  response.setHeader("connection", "close");
  if (request.method === "PUT") return response.end("token-token-token");
  const answer = says[request.url ?? ""];
  if (typeof answer === "function") return answer(response);
  response.statusCode = answer === undefined ? 404 : 200;
  response.end(answer ?? "");
});

beforeEach(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  says = { [macs]: `${facts.mac}/`, ...anInterface(facts.mac) };
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function anInterface(mac: string, prefixes: { ipv4?: string; ipv6?: string } = {}) {
  const values: Record<string, string> = {
    "device-number": "0",
    "interface-id": facts.interfaceId,
    "local-ipv4s": facts.primaryIpv4,
    "subnet-id": facts.subnetId,
    "subnet-ipv4-cidr-block": facts.subnetIpv4 ?? "",
    "vpc-id": facts.vpcId,
    ...(prefixes.ipv4 === undefined ? {} : { "ipv4-prefix": prefixes.ipv4 }),
    ...(prefixes.ipv6 === undefined ? {} : { "ipv6-prefix": prefixes.ipv6 }),
  };
  const entries = Object.entries(values).map(([name, value]) => [`${macs}${mac}/${name}`, value]);
  return { [`${macs}${mac}/`]: Object.keys(values).join("\n"), ...Object.fromEntries(entries) };
}

const imds = () => new Imds({ env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: url }, clock: systemClock });

function textOf(reading: PrefixReading): string {
  return reading.is === "known" ? "known" : new Failure(reading.why, reading.facts).message;
}

describe("a list of prefixes that AWS would not give is no reading", () => {
  test.each([
    ["a whole VPC", { ipv4: "172.18.0.0/16" }],
    ["a single address", { ipv4: "172.18.140.16/32" }],
    ["the default route", { ipv6: "::/0" }],
    ["a whole subnet", { ipv6: "2600:1f18:2a89:703::/64" }],
    ["one right and one wrong", { ipv4: `${ipv4Prefix}\n172.18.141.0/24` }],
    ["host bits", { ipv4: "172.18.140.17/28" }],
    ["another family", { ipv4: ipv6Prefix }],
    ["an empty list", { ipv4: "" }],
    ["129 lines", { ipv4: Array.from({ length: 129 }, (_, i) => `10.0.${i}.0/28`).join("\n") }],
  ])("%s", async (_name, prefixes) => {
    Object.assign(says, anInterface(facts.mac, prefixes));
    expect(textOf(await imds().readPrefixes())).toMatch(/answers something it never says \(path .*prefix/);
  });

  test("but one that is said twice is one", async () => {
    Object.assign(says, anInterface(facts.mac, { ipv4: `${ipv4Prefix}\n${ipv4Prefix}` }));
    expect(await imds().readPrefixes()).toMatchObject({ is: "known", ipv4: [ipv4Prefix] });
  });
});

describe("the VPC's CIDR blocks", () => {
  const path = (family: 4 | 6) => `${macs}${facts.mac}/vpc-ipv${family}-cidr-blocks`;
  const listed = (...families: (4 | 6)[]) => {
    const names = families.map((family) => `\nvpc-ipv${family}-cidr-blocks`);
    says[`${macs}${facts.mac}/`] += names.join("");
  };
  const told = async () => {
    const reading = await imds().readPrefixes();
    return reading.is === "known" ? reading.interface.vpcCidrs : textOf(reading);
  };

  test("are not told, rather than none, where their key is not listed: every VPC has IPv4", async () => {
    says[path(6)] = "2600:1f18:2a89:700::/56";
    listed(6);
    expect(await told()).toBeUndefined();
  });

  test.each([
    ["host bits", 4, "172.18.0.1/16"],
    ["another family", 4, "2600:1f18:2a89:700::/56"],
    ["no prefix", 6, "ok"],
    ["an empty list", 4, ""],
  ] as const)("are no reading with %s", async (_name, family, text) => {
    says[path(4)] = "172.18.0.0/16";
    says[path(family)] = text;
    listed(4, 6);
    expect(await told()).toMatch(/answers something it never says \(path .*vpc-ipv/);
  });
});

test("an interface without IPv4 beside the right one is no reason to know nothing", async () => {
  says = {
    [macs]: `${other}/\n${facts.mac}/`,
    [`${macs}${other}/device-number`]: "1",
    ...anInterface(facts.mac, { ipv4: ipv4Prefix }),
  };
  expect(await imds().readPrefixes()).toMatchObject({ is: "known", ipv4: [ipv4Prefix] });
});

describe("what an operator reads is the path and the reason, once", () => {
  test("nobody listens", async () => {
    url = "http://127.0.0.1:1";
    expect(textOf(await imds().readPrefixes())).toBe(
      "The instance metadata service does not answer (path latest/api/token, error ECONNREFUSED)",
    );
  });

  test("silence", async () => {
    says[macs] = () => {};
    expect(textOf(await imds().readPrefixes())).toBe(
      "The instance metadata service does not answer (path latest/meta-data/network/interfaces/macs/, error no answer in 1 s)",
    );
  });
});

const connections = () =>
  new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));

describe("nothing of a request stays behind", () => {
  test("a body without end is cut, not gathered", async () => {
    let written = 0;
    says[macs] = (response) => {
      const more = () => {
        written += 65_536;
        if (!response.destroyed) response.write("x".repeat(65_536), () => setImmediate(more));
      };
      more();
    };
    expect(textOf(await imds().readPrefixes())).toMatch(/answers something it never says .*too long/);
    await until("the connection is closed", async () => (await connections()) === 0);
    expect(written).toBeLessThan(256 * 1024 * 1024);
  });

  test("a body that comes too slowly is cut", async () => {
    says[macs] = (response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write("x"), 50);
      response.on("close", () => clearInterval(drip));
    };
    expect(textOf(await imds().readPrefixes())).toMatch(/error no whole answer in 2 s/);
    await until("the connection is closed", async () => (await connections()) === 0);
  });

  test("the long body of a refusal is not waited for", async () => {
    says["/latest/meta-data/x"] = (response) => {
      response.writeHead(404);
      response.end("x".repeat(4_000_000));
    };
    expect(await imds().get("meta-data/x")).toEqual({ ok: true, value: undefined });
    await until("the connection is closed", async () => (await connections()) === 0);
  });
});
