import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readFirmwareInstance } from "../../agent/adapters/host.ts";
import { IdentityFile } from "../../agent/adapters/identity-file.ts";
import { startAfresh } from "../../agent/adapters/state-folder.ts";
import { decideIdentity, type IdentityDecision, type SavedIdentity } from "../../agent/core/identity.ts";
import { verifyText } from "../../protocol/node/keys.ts";
import { temporaryFolder } from "../support/folder.ts";
import { testLog } from "../support/log.ts";

const here = "i-0e306ccdf94a1b201";
const elsewhere = "i-0e306ccdf94a1b202";
const key = "A".repeat(43);

type Saved = "none" | "ours" | "another's" | "unreadable";
const saved: Record<Saved, SavedIdentity> = {
  none: { is: "none" },
  ours: { is: "saved", record: { identityKey: key, wireguardKey: key, ec2InstanceId: here } },
  "another's": { is: "saved", record: { identityKey: key, wireguardKey: key, ec2InstanceId: elsewhere } },
  unreadable: { is: "unreadable", detail: "damaged" },
};

type Told = "metadata" | "firmware" | "earlier in this boot" | "nobody";
const decisions: Record<Saved, Record<Told, IdentityDecision>> = {
  none: { metadata: "make", firmware: "wait", "earlier in this boot": "wait", nobody: "wait" },
  ours: { metadata: "use", firmware: "use", "earlier in this boot": "use", nobody: "wait" },
  "another's": { metadata: "replace", firmware: "wait", "earlier in this boot": "wait", nobody: "wait" },
  unreadable: { metadata: "repair", firmware: "repair", "earlier in this boot": "repair", nobody: "repair" },
};

test.each(Object.entries(decisions) as [Saved, (typeof decisions)[Saved]][])(
  "identity on disk: %s",
  (name, row) => {
    const silent = { firmware: undefined, sinceBoot: undefined };
    const decided: Record<Told, IdentityDecision> = {
      metadata: decideIdentity(saved[name], here, silent),
      firmware: decideIdentity(saved[name], undefined, { ...silent, firmware: here }),
      "earlier in this boot": decideIdentity(saved[name], undefined, { ...silent, sinceBoot: here }),
      nobody: decideIdentity(saved[name], undefined, silent),
    };
    expect(decided).toEqual(row);
  },
);

test("firmware names an instance on Nitro only", () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "board_asset_tag");
  expect(readFirmwareInstance(file)).toBeUndefined();
  for (const [tag, named] of [
    [`${here}\n`, here],
    ["\n", undefined],
    ["Not Specified\n", undefined],
  ] as const) {
    writeFileSync(file, tag);
    expect(readFirmwareInstance(file)).toBe(named);
  }
});

describe("the identity file", () => {
  const open = (path: string) => new IdentityFile(path, testLog().log);

  test("is made once, closed to others, and read again by the next process", () => {
    using folder = temporaryFolder();
    const file = open(folder.path);
    expect(file.load()).toEqual({ is: "none" });
    const made = file.make(here);
    expect(made.ok).toBe(true);
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    const enrolment = {
      instance: "0b6c5c6e-33a5-4f0e-9a5e-0f5b6f2b7c22",
      name: "aws-us-east-1-con-00001",
      connector: "c",
    };
    expect(file.saveEnrolment(enrolment).ok).toBe(true);
    const again = open(folder.path);
    const record = made.ok ? { ...made.value, enrolment } : undefined;
    expect(again.load()).toEqual({ is: "saved", record });
    expect(verifyText(record?.identityKey ?? "", "words", again.sign("words"))).toBe(true);
    expect(JSON.stringify(again.load())).not.toContain("rivate");
  });

  test("that others could read is closed, with a warning", () => {
    using folder = temporaryFolder();
    open(folder.path).make(here);
    const { log, lines } = testLog();
    const file = new IdentityFile(folder.path, log);
    chmodSync(file.path, 0o644);
    expect(file.load().is).toBe("saved");
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    expect(lines()).toMatchObject([{ level: "warn", mode: "644" }]);
  });

  test.each<[name: string, damage: (text: string) => string, detail: RegExp]>([
    ["empty", () => "", /is empty/],
    ["cut short", (text) => text.slice(0, text.length / 2), /not JSON/],
    [
      "with a changed key",
      (text) =>
        text.replace(/("identityPrivateKey": ")(.)/, (_, field, c) => `${field}${c === "x" ? "y" : "x"}`),
      /do not belong together/,
    ],
    ["with a lost field", (text) => text.replace('"ec2InstanceId"', '"lost"'), /ec2InstanceId is damaged/],
    ["of a newer version", (text) => text.replace('"format": 1', '"format": 2'), /newer version/],
  ])("that is %s is not used, not replaced, and not quoted", (_name, damage, detail) => {
    using folder = temporaryFolder();
    const file = open(folder.path);
    file.make(here);
    const damaged = damage(readFileSync(file.path, "utf8"));
    writeFileSync(file.path, damaged);
    const loaded = open(folder.path).load();
    expect(loaded.is === "unreadable" ? loaded.detail : loaded.is).toMatch(detail);
    expect(readFileSync(file.path, "utf8")).toBe(damaged);
  });

  test("that cannot be written says why", () => {
    const made = new IdentityFile("/proc/nowhere", testLog().log).make(here);
    expect(made.ok ? "made" : made.failure.code).toMatch(/^store\./);
  });
});

test("a copied disk keeps the other's identity and leases aside, and can be interrupted anywhere", () => {
  using folder = temporaryFolder();
  const { log } = testLog();
  const identity = new IdentityFile(folder.path, log);
  identity.make(elsewhere);
  const copied = readFileSync(identity.path, "utf8");
  writeFileSync(join(folder.path, "agent.db"), "leases of the other");
  startAfresh(folder.path, identity, here, log);
  expect(identity.record).toMatchObject({ ec2InstanceId: here, clonedFrom: elsewhere });
  expect(readFileSync(`${identity.path}.of-${elsewhere}`, "utf8")).toBe(copied);
  expect(statSync(`${identity.path}.of-${elsewhere}`).mode & 0o777).toBe(0o600);
  expect(existsSync(join(folder.path, "agent.db"))).toBe(false);
  expect(readdirSync(folder.path).sort()).toEqual([
    `agent.db.of-${elsewhere}`,
    "identity.json",
    `identity.json.of-${elsewhere}`,
  ]);
});

test("an identity in use stays in use, whatever becomes of its file", () => {
  using folder = temporaryFolder();
  const file = new IdentityFile(folder.path, testLog().log);
  file.make(here);
  const { record } = file;
  for (const content of ["", undefined]) {
    if (content === undefined) rmSync(file.path);
    else writeFileSync(file.path, content);
    expect(file.load()).toMatchObject({ is: "saved", record });
    expect(file.record).toEqual(record);
    expect(file.sign("text")).toMatch(/^.{86}$/);
  }
});

test("a copied disk that is started over twice keeps the leases of both times", () => {
  using folder = temporaryFolder();
  const { log } = testLog();
  const identity = new IdentityFile(folder.path, log);
  identity.make(elsewhere);
  const copied = readFileSync(identity.path, "utf8");
  for (const leases of ["leases of the other", "of the process that was killed in between"]) {
    writeFileSync(identity.path, copied);
    writeFileSync(join(folder.path, "agent.db"), leases);
    const again = new IdentityFile(folder.path, log);
    again.load();
    startAfresh(folder.path, again, here, log);
  }
  const kept = readdirSync(folder.path).filter((name) => name.startsWith("agent.db.of-"));
  expect(kept.map((name) => readFileSync(join(folder.path, name), "utf8")).sort()).toEqual([
    "leases of the other",
    "of the process that was killed in between",
  ]);
});
