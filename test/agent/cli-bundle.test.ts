import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { IdentityFile } from "../../agent/adapters/identity-file.ts";
import { startSocketServer } from "../../agent/adapters/socket-server.ts";
import { dataPathFolderOf } from "../../agent/adapters/state-folder.ts";
import { Anonymiser, redact } from "../../agent/cli/bundle/redact.ts";
import { temporaryFolder } from "../support/folder.ts";
import { active, connector, fakeAgent, noDataPath, silent } from "./cli-fixture.ts";

const otp = "K7QF-otp-2NDX";

/** A host with planted secrets: in their own files, in the parameter file, and in what the agent says. */
function plant(folder: string) {
  const at = (name: string) => join(folder, name);
  mkdirSync(at("state"), { mode: 0o750 });
  const identity = new IdentityFile(at("state"), silent);
  identity.make("i-0e306ccdf94ab1234");
  const { identityPrivateKey, wireguardPrivateKey } = JSON.parse(
    readFileSync(identity.path, "utf8"),
  ) as Record<string, string>;
  writeFileSync(at("otp"), `${otp}\n`, { mode: 0o600 });
  const parameters = [
    "controller: http://127.0.0.1:1",
    "ip: 172.18.140.76",
    "gateway: 172.18.140.1",
    `otpFile: ${at("otp")}`,
  ];
  writeFileSync(at("enroll.yaml"), `${parameters.join("\n")}\n`);
  return { at, secrets: [otp, identityPrivateKey ?? "", wireguardPrivateKey ?? ""] };
}

async function bundle(folder: string, args: readonly string[] = [], socket = join(folder, "agent.sock")) {
  const at = (name: string) => join(folder, name);
  const files = ["--parameters", at("enroll.yaml"), "--state-dir", at("state"), "--out", at("bundle.tar.gz")];
  const env = {
    ...noDataPath,
    NO_COLOR: "1",
    CONNECTOR_INTERFACE: "imds",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1",
  };
  return await connector(["support-bundle", "--socket", socket, ...files, ...args], { env });
}

/** Every file of the archive, by its name inside the bundle's folder. */
function unpack(folder: string): Map<string, string> {
  const to = join(folder, "unpacked");
  mkdirSync(to);
  execFileSync("tar", ["-xzf", join(folder, "bundle.tar.gz"), "-C", to]);
  const [top = ""] = readdirSync(to);
  const names = readdirSync(join(to, top), { recursive: true, encoding: "utf8" });
  return new Map(
    names
      .filter((name) => statSync(join(to, top, name)).isFile())
      .map((name) => [name, readFileSync(join(to, top, name), "utf8")]),
  );
}

test("a bundle holds the views and the host, and no secret", async () => {
  using folder = temporaryFolder();
  const { at, secrets } = plant(folder.path);
  const [, identityKey = ""] = secrets;
  const { views, actions } = fakeAgent({
    ...active,
    conditions: [
      {
        code: "internal",
        severity: "error",
        sinceMs: 0,
        text: `leaked ${identityKey} and otp: ${otp}`,
        hint: "",
      },
    ],
  });
  await using _server = await startSocketServer({ path: at("agent.sock"), views, actions, log: silent });
  const ran = await bundle(folder.path);
  expect(ran.err).toBe("");
  expect(ran.out).toContain("views/status.json");
  expect(ran.out).toMatch(/--anonymise\s+replaces them/);
  for (const line of ran.out.replaceAll(folder.path, "/tmp").split("\n"))
    expect(line.length, line).toBeLessThanOrEqual(80);
  expect(statSync(at("bundle.tar.gz")).mode & 0o777).toBe(0o600);

  const files = unpack(folder.path);
  for (const name of ["status", "pools", "leases", "sessions", "prefixes"]) {
    expect(JSON.parse(files.get(`views/${name}.json`) ?? "")).toBeTruthy();
  }
  expect(files.get("views/status.json")).toContain("leaked [redacted]");
  expect(files.get("versions.txt")).toContain("connector 0.");
  expect(files.get("parameters.json")).toContain("172.18.140.76");
  expect(files.get("state-files.txt")).toContain("identity.json");
  expect(files.get("check.txt")).toContain("parameters");
  for (const [name, text] of files) {
    for (const secret of secrets) expect(text.includes(secret), `${name} holds a secret`).toBe(false);
  }
  expect(files.get("views/leases.json")).toContain("alice");
});

test("--anonymise replaces users' names, the same everywhere", async () => {
  using folder = temporaryFolder();
  const { at } = plant(folder.path);
  const { views, actions } = fakeAgent();
  await using _server = await startSocketServer({ path: at("agent.sock"), views, actions, log: silent });
  await bundle(folder.path, ["--anonymise"]);
  const files = unpack(folder.path);
  for (const [name, text] of files) expect(text, name).not.toMatch(/alice|bartholomew|\bbob\b/);
  const userOf = (name: string) => {
    const rows = JSON.parse(files.get(name) ?? "[]") as { user?: string; ipv4?: string }[];
    return rows.find(({ ipv4 }) => ipv4 === "172.18.128.177")?.user;
  };
  expect(userOf("views/leases.json")).toMatch(/^user-[0-9a-f]{8}$/);
  expect(userOf("views/leases.json")).toBe(userOf("views/sessions.json"));
});

test("without an agent there is a bundle all the same, and it says what is missing", async () => {
  using folder = temporaryFolder();
  plant(folder.path);
  const ran = await bundle(folder.path);
  expect(ran.code).toBe(1);
  expect(ran.out).toContain("MISSING: There is no agent socket");
  const files = unpack(folder.path);
  expect(files.get("CONTENTS.txt")).toContain("MISSING");
  expect([...files.keys()].some((name) => name.startsWith("views/"))).toBe(false);
});

test("a file that is there already is not overwritten", async () => {
  using folder = temporaryFolder();
  const { at } = plant(folder.path);
  writeFileSync(at("bundle.tar.gz"), "precious");
  expect(await bundle(folder.path)).toMatchObject({ code: 1, out: expect.stringContaining("--out") });
  expect(readFileSync(at("bundle.tar.gz"), "utf8")).toBe("precious");
});

test("the data path's folder does not depend on where a program is", () => {
  expect(dataPathFolderOf("/run/connector/agent.sock")).toBe("/run/connector/datapath");
  expect(dataPathFolderOf("./agent.sock")).toBe(join(process.cwd(), "datapath"));
});

test.each([
  ["a key in base64url", `key ${"aB3_".repeat(11).slice(0, 43)}.`, "key [redacted]."],
  ["a key in base64", `${"aB3+".repeat(11).slice(0, 43)}=`, "[redacted]"],
  ["a key in hex", `private_key=${"0f".repeat(32)}`, "private_key=[redacted]"],
  ["an OTP by its name", "otp: 1234-5678", "otp: [redacted]"],
  ["an OTP in JSON", '{"otp":"1234","x":1}', '{"otp":"[redacted]","x":1}'],
  ["a PEM", "-----BEGIN PRIVATE KEY-----\nMIG=\n-----END PRIVATE KEY-----\nrest", "[redacted]\nrest"],
  ["a known secret", "as planted-secret here", "as [redacted] here"],
  [
    "otpFile is a path, not a secret",
    "otpFile: /run/credstore/connector.otp",
    "otpFile: /run/credstore/connector.otp",
  ],
  [
    "addresses and ids stay",
    "2600:1f18:2a89:703:275::10 i-0e306ccdf94ab1234",
    "2600:1f18:2a89:703:275::10 i-0e306ccdf94ab1234",
  ],
])("redacts %s", (_name, text, expected) => {
  expect(redact(text, ["planted-secret"])).toBe(expected);
});

test("a user's name inside another word is left alone", () => {
  const anonymiser = new Anonymiser("salt");
  anonymiser.learn(["bob", "bob.smith"]);
  const text = anonymiser.apply('bobbin bob, bob.smith "user":"carol" carol');
  expect(text).toMatch(/^bobbin user-(\w{8}), user-(\w{8}) "user":"user-(\w{8})" user-\3$/);
});
