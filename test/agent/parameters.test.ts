import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { thatCounts } from "../../agent/adapters/parameter-files.ts";
import { loadParameters } from "../../agent/adapters/parameters.ts";
import { type ParameterProblem, readParameters } from "../../agent/core/parameters.ts";
import { compareWithInstance } from "../../agent/core/placement.ts";
import { temporaryFolder } from "../support/folder.ts";
import { facts } from "./fixture.ts";

const good = { controller: "https://controller.example.com", ip: "172.18.139.4", gateway: "172.18.128.1" };

function problemsOf(yaml: unknown, env: Record<string, string> = {}): readonly ParameterProblem[] {
  const result = readParameters(yaml, env);
  return result.ok ? [] : result.problems;
}

test("the least that is needed, and what the rest is then", () => {
  expect(readParameters(good, {})).toEqual({
    ok: true,
    value: {
      ...good,
      otpFile: "/run/credstore/connector.otp",
      caFile: undefined,
      health: "127.0.0.1:9464",
      logLevel: "info",
      wireguardPort: 51_820,
      publicAddress: good.ip,
      prefixSchedule: "* * * * *",
      rebalance: "show",
    },
  });
});

test("of cloud-init's file and the one that the service keeps the newer counts, so a correction is seen", () => {
  using folder = temporaryFolder();
  const [boot, kept] = [join(folder.path, "boot.yaml"), join(folder.path, "kept.yaml")];
  const write = (path: string, seconds: number) => {
    writeFileSync(path, "");
    utimesSync(path, seconds, seconds);
  };
  expect(thatCounts(boot, kept)).toBeUndefined();
  write(boot, 1_000);
  expect(thatCounts(boot, kept)).toBe(boot);
  write(kept, 1_000);
  expect(thatCounts(boot, kept)).toBe(kept);
  write(kept, 2_000);
  expect(thatCounts(boot, kept)).toBe(kept);
  write(boot, 3_000);
  expect(thatCounts(boot, kept)).toBe(boot);
  rmSync(boot);
  expect(thatCounts(boot, kept)).toBe(kept);
});

test("the environment overrides each field, and an empty variable does not", () => {
  const env = {
    CONNECTOR_CONTROLLER: "http://127.0.0.1:8443",
    CONNECTOR_IP: "10.0.0.4",
    CONNECTOR_GATEWAY: "10.0.0.1",
    CONNECTOR_OTP_FILE: "/tmp/otp",
    CONNECTOR_CA_FILE: "/tmp/ca.pem",
    CONNECTOR_HEALTH: "off",
    CONNECTOR_LOG_LEVEL: "debug",
    CONNECTOR_WIREGUARD_PORT: "51821",
    CONNECTOR_PUBLIC_ADDRESS: "",
    CONNECTOR_PREFIX_SCHEDULE: "*/10 * * * * *",
    CONNECTOR_REBALANCE: "drain",
  };
  expect(readParameters({ ...good, publicAddress: "203.0.113.7" }, env)).toEqual({
    ok: true,
    value: {
      controller: "http://127.0.0.1:8443",
      ip: "10.0.0.4",
      gateway: "10.0.0.1",
      otpFile: "/tmp/otp",
      caFile: "/tmp/ca.pem",
      health: "off",
      logLevel: "debug",
      wireguardPort: 51_821,
      publicAddress: "203.0.113.7",
      prefixSchedule: "*/10 * * * * *",
      rebalance: "drain",
    },
  });
});

test("systemd's credentials are where the OTP is looked for", () => {
  const result = readParameters(good, { CREDENTIALS_DIRECTORY: "/run/credentials/agent" });
  expect(result.ok && result.value.otpFile).toBe("/run/credentials/agent/connector.otp");
});

describe("one wrong field is named with what stands there and what to write", () => {
  test.each<[field: string, value: unknown, problem: RegExp, fix: RegExp]>([
    ["controller", "controller.example.com", /not an https URL/, /write https:\/\/controller.example.com$/],
    ["controller", "http://controller.example.com", /not encrypted/, /https:\/\/controller.example.com$/],
    ["controller", "https://controller.example.com/link", /has a path/, /https:\/\/controller.example.com$/],
    ["controller", "ftp://controller.example.com", /not an https URL/, /https/],
    ["controller", ["https://a.example"], /a list where text is expected/, /https/],
    ["controller", "https://u:geheim@c.example", /must not hold a password/, /https/],
    ["ip", "172.18.139.4/20", /has a prefix length/, /write 172.18.139.4$/],
    ["ip", "172.18.139.400", /not an IPv4 address/, /IPv4/],
    ["ip", "172.18.139.04", /not an IPv4 address/, /IPv4/],
    ["ip", "2600:1f18::4", /is an IPv6 address/, /IPv4/],
    ["ip", 172.18, /a number where text is expected/, /IPv4/],
    ["ip", " 172.18.139.4", /white space around/, /IPv4/],
    ["ip", "172.18.139.4\u00a0", /white space around/, /IPv4/],
    ["ip", "255.255.255.255", /not the address of a host/, /IPv4/],
    ["ip", "", /is empty/, /IPv4/],
    ["ip", null, /is missing/, /IPv4/],
    ["gateway", good.ip, /same address as `ip`/, /first address of the subnet/],
    ["gateway", { v4: "1.2.3.4" }, /a mapping where text is expected/, /router/],
    ["otpFile", "connector.otp", /not an absolute path/, /absolute path/],
    ["otpFile", 7, /a number where text is expected/, /absolute path/],
    ["health", "0.0.0.0:9464", /reachable from outside/, /loopback/],
    ["health", "127.0.0.1", /not an address with a port/, /loopback/],
    ["health", "127.0.0.1:99999", /not an address with a port/, /loopback/],
    ["logLevel", "verbose", /not a log level/, /debug/],
    ["wireguardPort", 0, /not a port/, /UDP port/],
    ["wireguardPort", "51820x", /not a port/, /UDP port/],
    ["publicAddress", "gw.example.com", /not an IP address/, /IP address/],
    ["prefixSchedule", "every minute", /not a cron expression/, /cron/],
    ["rebalance", true, /neither show nor drain/, /show/],
  ])("%s: %j", (field, value, problem, fix) => {
    const [found, ...others] = problemsOf({ ...good, [field]: value });
    expect(others).toEqual([]);
    expect(found?.field).toBe(field);
    expect(found?.problem).toMatch(problem);
    expect(found?.fix).toMatch(fix);
    expect(JSON.stringify(found)).not.toContain("geheim");
  });

  test("`health: off` is off, as YAML readers of all ages see it", () => {
    for (const health of ["off", false]) {
      expect(readParameters({ ...good, health }, {})).toMatchObject({ ok: true, value: { health: "off" } });
    }
  });
});

test("every problem is named at once, and unknown fields with what was probably meant", () => {
  const problems = problemsOf({
    contoller: "https://c.example",
    ip: "x",
    gatway: "172.18.128.1",
    otp: "s3cret!",
  });
  expect(problems.map(({ field, problem, fix }) => `${field} ${problem}: ${fix}`)).toEqual([
    "contoller is not a field of enroll.yaml: did you mean `controller`?",
    "gatway is not a field of enroll.yaml: did you mean `gateway`?",
    expect.stringMatching(/^otp does not belong into enroll.yaml: .*`otpFile`$/),
    expect.stringMatching(/^controller is missing: /),
    expect.stringMatching(/^ip is not an IPv4 address: /),
    expect.stringMatching(/^gateway is missing: /),
  ]);
  expect(JSON.stringify(problems)).not.toContain("s3cret");
});

test.each<[what: string, yaml: unknown]>([
  ["a list", ["controller"]],
  ["text", "controller"],
  ["a number", 5],
])("a file that is %s says so", (what, yaml) => {
  expect(problemsOf(yaml)[0]).toMatchObject({
    field: "enroll.yaml",
    problem: `is ${what} where fields are expected`,
  });
});

describe("the file", () => {
  const load = (text: string | undefined, env: Record<string, string> = {}) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "enroll.yaml");
    if (text !== undefined) writeFileSync(path, text);
    return loadParameters(path, env);
  };
  const lines = "controller: https://c.example\nip: 172.18.139.4\ngateway: 172.18.128.1\n";

  test("as cloud-init leaves it", () => {
    expect(load(`# by cloud-init\n${lines}`)).toMatchObject({ ok: true, value: { ip: "172.18.139.4" } });
  });

  test.each<[name: string, text: string, problem: RegExp]>([
    ["a tab", `${lines}\thealth: off\n`, /line 4 begins with a tab/],
    ["a field twice", `${lines}ip: 1.2.3.4\n`, /line 4: Map keys must be unique/],
    ["an open quote", `${lines}health: "off\n`, /line \d: /],
    ["an alias bomb", "controller: &a [x]\nip: [*a, *a]\n", /has aliases/],
    ["no YAML", "%PDF-1.7\n%\u00e2\u00e3\n{[", /line \d: /],
    ["too long", `${lines}#${"x".repeat(70_000)}\n`, /too long/],
  ])("with %s", (_name, text, problem) => {
    const result = load(text);
    expect(result.ok ? "fine" : result.problems[0]?.problem).toMatch(problem);
  });

  test("of 17 KB: read when it is comments, and quoted in short when it is a value", () => {
    expect(load(`#${"x".repeat(17_408)}\n${lines}`).ok).toBe(true);
    const result = load(lines.replace("172.18.139.4", "1".repeat(17_408)));
    expect(result.ok ? [] : result.problems.map(({ field }) => field)).toEqual(["ip"]);
    expect(JSON.stringify(result).length).toBeLessThan(400);
  });

  test("that is missing is named before the fields that are", () => {
    const result = load(undefined);
    expect(result.ok ? [] : result.problems.map(({ field }) => field)).toEqual([
      "parameters",
      "controller",
      "ip",
      "gateway",
    ]);
  });

  test("is not needed where the environment has everything", () => {
    const env = {
      CONNECTOR_CONTROLLER: "https://c.example",
      CONNECTOR_IP: "10.0.0.4",
      CONNECTOR_GATEWAY: "10.0.0.1",
    };
    expect(load(undefined, env).ok).toBe(true);
  });

  test("that is a folder cannot be read", () => {
    using folder = temporaryFolder();
    mkdirSync(join(folder.path, "enroll.yaml"));
    const result = loadParameters(join(folder.path, "enroll.yaml"), {});
    expect(result.ok ? "" : result.problems[0]?.problem).toBe("cannot be read: EISDIR");
  });

  test("may pin a CA only where there is one", () => {
    const result = load(`${lines}caFile: /nowhere/ca.pem\n`);
    expect(result.ok ? [] : result.problems).toMatchObject([
      { field: "caFile", problem: "there is no such file" },
    ]);
  });
});

describe("compared with the instance", () => {
  const right = { ip: "172.18.139.4", gateway: "172.18.128.1" };

  test("right parameters", () => {
    expect(compareWithInstance(right, facts, ["172.18.139.4"])).toEqual([]);
    expect(compareWithInstance(right, facts, undefined)).toEqual([]);
  });

  test.each<
    [name: string, parameters: typeof right, local: string[] | undefined, codes: string[], facts: object]
  >([
    [
      "another instance's address",
      { ...right, ip: "172.18.139.5" },
      undefined,
      ["parameters.ip-mismatch"],
      { configured: "172.18.139.5", right: "172.18.139.4" },
    ],
    [
      "not on the host",
      right,
      ["10.9.9.9"],
      ["parameters.ip-mismatch"],
      { configured: "172.18.139.4", "on the host's interfaces": "10.9.9.9" },
    ],
    [
      "a gateway of habit",
      { ...right, gateway: "172.18.139.1" },
      undefined,
      ["parameters.gateway-mismatch"],
      { configured: "172.18.139.1", right: "172.18.128.1", subnet: "172.18.128.0/20" },
    ],
    [
      "a gateway elsewhere",
      { ...right, gateway: "192.168.0.1" },
      undefined,
      ["parameters.gateway-mismatch"],
      { right: "172.18.128.1", "outside the subnet": true },
    ],
  ])("%s", (_name, parameters, local, codes, expected) => {
    const failures = compareWithInstance(parameters, facts, local);
    expect(failures.map(({ code }) => code)).toEqual(codes);
    expect(failures[0]?.facts).toMatchObject(expected);
  });
});
