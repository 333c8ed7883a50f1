import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { readParameters } from "../../agent/core/parameters.ts";
import { type UserData, userDataText } from "../../controller/cli/user-data.ts";
import { administratorOf, runHere } from "../controller/run-cli.ts";
import { type Served, serveReal } from "../controller/served.ts";
import { expectValid, hasCloudInit, rendered } from "./cloud-init.ts";

const withCloudInit = test.skipIf(!hasCloudInit);

interface Written {
  readonly path: string;
  readonly permissions: string;
  readonly content: string;
}

function filesOf(text: string): ReadonlyMap<string, Written> {
  const { write_files: files } = parse(text) as { write_files: Written[] };
  return new Map(files.map((file) => [file.path, file]));
}

const one: UserData = {
  controller: "https://controller.example.com:8443",
  address: { ip: "172.18.139.4", gateway: "172.18.128.1" },
  publicAddress: undefined,
  otp: { is: "here", secret: "hYx3bq0ZlQ7mT2vK9nRwUg" },
  ca: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
};

function textOf(userData: UserData): string {
  const text = userDataText(userData);
  if (!text.ok) throw text.failure;
  return text.value;
}

withCloudInit(
  "for one instance: cloud-init's schema and the agent's reader take it (skipped without cloud-init)",
  () => {
    const text = textOf(one);
    expectValid(text);
    const files = filesOf(text);
    expect([...files.values()].map(({ path, permissions }) => [path, permissions])).toEqual([
      ["/etc/connector/ca.pem", "0644"],
      ["/run/connector-boot/enroll.yaml", "0600"],
      ["/run/credstore/connector.otp", "0600"],
    ]);
    expect(files.get("/run/credstore/connector.otp")?.content).toBe("hYx3bq0ZlQ7mT2vK9nRwUg\n");
    const parameters = parse(files.get("/run/connector-boot/enroll.yaml")?.content ?? "");
    expect(readParameters(parameters, {})).toMatchObject({
      ok: true,
      value: { ip: "172.18.139.4", gateway: "172.18.128.1", caFile: "/etc/connector/ca.pem" },
    });
  },
);

withCloudInit(
  "for any instance: addresses are the metadata's, the OTP is fetched before the agent starts",
  () => {
    const reference = "ssm:/connector/prod/{instance-id}";
    const text = rendered(textOf({ ...one, address: undefined, otp: { is: "elsewhere", reference } }));
    expect(text.startsWith("#cloud-config\n")).toBe(true);
    expectValid(text);
    const parameters = parse(filesOf(text).get("/run/connector-boot/enroll.yaml")?.content ?? "");
    expect(parameters).toMatchObject({ ip: "172.18.139.4", gateway: "172.18.128.1" });
    const { runcmd } = parse(text) as { runcmd: string[][] };
    expect(runcmd).toEqual([
      ["systemctl", "enable", "connector.service"],
      ["connector", "otp", "fetch", "--out", "/run/credstore/connector.otp", "--wait", "600", reference],
      ["systemctl", "restart", "--no-block", "connector.service"],
    ]);
  },
);

withCloudInit("what devices dial: an address that is given, or the public one of the metadata", () => {
  const dialled = (over: Partial<UserData>) => {
    const text = rendered(textOf({ ...one, ...over }));
    expectValid(text);
    const { publicAddress } = parse(filesOf(text).get("/run/connector-boot/enroll.yaml")?.content ?? "");
    return publicAddress;
  };
  const metadata = { is: "metadata" } as const;
  expect(dialled({ address: undefined })).toBeUndefined();
  expect(dialled({ address: undefined, publicAddress: metadata })).toBe("198.51.100.4");
  expect(dialled({ publicAddress: metadata })).toBe("198.51.100.4");
  expect(
    parse(
      filesOf(textOf({ ...one, publicAddress: { is: "this", address: "198.51.100.10" } })).get(
        "/run/connector-boot/enroll.yaml",
      )?.content ?? "",
    ),
  ).toMatchObject({ ip: "172.18.139.4", publicAddress: "198.51.100.10" });
});

test("with its OTP inside, an agent that the boot has started is left alone", () => {
  const text = textOf({ ...one, otp: { is: "here", secret: "secret" } });
  const { runcmd } = parse(text) as { runcmd: string[][] };
  expect(runcmd).toEqual([["systemctl", "enable", "--now", "--no-block", "connector.service"]]);
});

let served: Served;
beforeAll(async () => {
  served = await serveReal();
});
afterAll(() => served[Symbol.asyncDispose]());

const run = (args: readonly string[]) => runHere(args, administratorOf(served));

test("the generator makes an OTP and puts it in; the CA that the administrator trusts goes along", async () => {
  const { code, out, err } = await run([
    "user-data",
    "prod",
    "--ip",
    "172.18.139.4",
    "--gateway",
    "172.18.128.1",
    "--public-address",
    "198.51.100.10",
    "--url",
    "https://controller.example.com:8443",
  ]);
  expect(code, err).toBe(0);
  expect(err).toMatch(/^One-time password [0-9a-f-]{36} lets one instance into prod\./);
  const files = filesOf(out);
  expect(files.get("/run/credstore/connector.otp")?.content).toMatch(/^[\w-]{16,128}\n$/);
  expect(files.get("/etc/connector/ca.pem")?.content.trim()).toBe(served.ca.trim());
  expect(parse(files.get("/run/connector-boot/enroll.yaml")?.content ?? "")).toMatchObject({
    controller: "https://controller.example.com:8443",
    publicAddress: "198.51.100.10",
  });
});

test("what cannot be used is refused, and no OTP is made for it", async () => {
  const before = (await run(["otp", "list", "-o", "json"])).out;
  const big = join(served.folder, "big.pem");
  writeFileSync(big, served.ca.repeat(40));
  for (const [args, words] of [
    // As the administrator reaches it, on its own host.
    [["user-data", "prod"], "as instances reach it"],
    [["user-data", "prod", "--url", "https://localhost:8443"], "as instances reach it"],
    [["user-data", "prod", "--public-address", "me"], "an IP address, or the word metadata, not me"],
    [["user-data", "prod", "--url", "http://127.0.0.1:8443"], "https://HOST[:PORT]"],
    [["user-data", "prod", "--url", "https://c.example.com/path"], "https://HOST[:PORT]"],
    [["user-data", "prod", "--ip", "172.18.139.4"], "--ip and --gateway are given both"],
    [
      ["user-data", "prod", "--ip", "172.18.139.400", "--gateway", "172.18.128.1"],
      "172.18.139.400 is not an IPv4",
    ],
    [["user-data", "prod", "--otp-from", "ssm:/prod"], "as instances reach it"],
    [["user-data", "prod", "--otp-from", "vault:x"], "ssm:NAME or secretsmanager:ID, not vault:x"],
    [["user-data", "prod", "--url", "https://c.example.com", "--ca-file", big], "most 16384"],
  ] as const) {
    const { code, out, err } = await run(args);
    expect(err).toContain(words);
    expect(code).not.toBe(0);
    expect(out).toBe("");
  }
  expect((await run(["otp", "list", "-o", "json"])).out).toBe(before);
});
