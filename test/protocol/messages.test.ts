import { inspect } from "node:util";
import { expect, test } from "vitest";
import { catalogue } from "../../protocol/catalogue.ts";
import { closeCodes, failureOfClose } from "../../protocol/close.ts";
import { Failure, failureCodes, failureEntry } from "../../protocol/failures.ts";
import { Secret } from "../../protocol/secret.ts";
import { DomainPattern, PortRange, ResourceSpec } from "../../protocol/specs.ts";
import { agentDesired, parseEntry } from "../../protocol/state.ts";
import { agreedVersion, protocolHistory, protocolVersion } from "../../protocol/version.ts";

test.each([
  [{ version: 1, minimum: 1 }, { version: 1, minimum: 1 }, 1],
  [{ version: 3, minimum: 2 }, { version: 2, minimum: 1 }, 2],
  [{ version: 2, minimum: 1 }, { version: 9, minimum: 2 }, 2],
  [{ version: 1, minimum: 1 }, { version: 3, minimum: 2 }, undefined],
  [{ version: 3, minimum: 2 }, { version: 1, minimum: 1 }, undefined],
])("%j and %j agree on version %s", (ours, theirs, agreed) => {
  expect(agreedVersion(ours, theirs)).toBe(agreed);
});

test("the history begins with the version spoken now and counts down with falling dates", () => {
  expect(protocolHistory[0].version).toBe(protocolVersion);
  const versions = protocolHistory.map((entry) => entry.version);
  expect(versions).toEqual(versions.map((_, i) => protocolVersion - i));
  const dates = protocolHistory.map((entry) => entry.date);
  expect([...dates].sort().reverse()).toEqual(dates);
});

test("every failure has a sentence and a next step, and its causes exist", () => {
  for (const code of failureCodes) {
    const entry = failureEntry(code);
    expect(entry.summary, code).toMatch(/^[A-Z].*[^.]$/);
    expect(entry.hint, code).toMatch(/[.)]$|required$/);
    for (const cause of entry.causedBy ?? []) expect(Object.keys(catalogue), code).toContain(cause);
  }
});

test("a failure says what, with its facts, and keeps its cause", () => {
  const cause = new Error("ENOSPC");
  const failure = new Failure("prefix.length", { prefix: "10.0.0.0/27", wanted: "/28" }, cause);
  expect(failure.message).toBe(
    "The prefix has a length AWS does not assign (prefix 10.0.0.0/27, wanted /28)",
  );
  expect([failure.code, failure.retry, failure.cause]).toEqual(["prefix.length", "onChange", cause]);
});

test("close codes are distinct, and an unknown one is a lost connection", () => {
  const codes = Object.values(closeCodes).map((close) => close.code);
  expect(new Set(codes).size).toBe(codes.length);
  expect(failureOfClose(4003)).toBe("link.superseded");
  expect(failureOfClose(1006)).toBe("link.lost");
  expect(failureOfClose(4999)).toBe("link.lost");
});

test("a secret does not print", () => {
  const secret = new Secret("hunter2");
  const printed = [
    `${secret}`,
    JSON.stringify({ secret }),
    inspect({ secret }),
    String(secret),
    `${[secret]}`,
  ];
  expect(printed.join()).not.toContain("hunter2");
  expect(secret.reveal()).toBe("hunter2");
});

test("an entry of an unknown kind is told apart from a malformed one", () => {
  expect(parseEntry(agentDesired, "route/1", {})).toEqual({ is: "unknown" });
  expect(parseEntry(agentDesired, "constructor", {})).toEqual({ is: "unknown" });
  expect(parseEntry(agentDesired, "pool/Pool1", { group: "G" })).toMatchObject({ is: "malformed" });
  expect(parseEntry(agentDesired, "drain", { sinceMs: 5 })).toEqual({
    is: "entry",
    entry: { kind: "drain", id: "", value: { sinceMs: 5 } },
  });
});

test.each([
  [{ from: 1, to: 65_535 }, true],
  [{ from: 443, to: 443 }, true],
  [{ from: 443, to: 80 }, false],
  [{ from: 0, to: 80 }, false],
  [{ from: 1, to: 65_536 }, false],
])("port range %j: %s", (range, good) => {
  expect(PortRange.safeParse(range).success).toBe(good);
});

test.each([
  ["app.example.internal", true],
  ["*.example.internal", true],
  ["app.*.internal", false],
  ["*app.internal", false],
  ["*", false],
  ["App.internal", false],
  ["app..internal", false],
  ["-app.internal", false],
  ["10.0.0.1", false],
])("domain %s: %s", (domain, good) => {
  expect(DomainPattern.safeParse(domain).success).toBe(good);
});

test("ports need a protocol that has ports", () => {
  const resource = {
    name: "web",
    destination: { cidr: "10.0.0.0/16" },
    ports: [{ from: 443, to: 443 }],
    serverInitiated: false,
    groups: ["Engineering"],
  };
  expect(ResourceSpec.safeParse({ ...resource, protocol: "tcp" }).success).toBe(true);
  expect(ResourceSpec.safeParse({ ...resource, protocol: "icmp" }).success).toBe(false);
  expect(
    ResourceSpec.safeParse({ ...resource, protocol: "tcp", destination: { cidr: "10.0.0.1/16" } }).success,
  ).toBe(false);
});
