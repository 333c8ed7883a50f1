import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hostOs } from "../../device/adapters/host.ts";
import { TunnelFile, type TunnelOn } from "../../device/adapters/tunnel-file.ts";
import type { SavedState } from "../../device/core/saved.ts";
import { statusExitCode, statusText } from "../../device/status.ts";
import type { TunnelView } from "../../device/tunnel-view.ts";
import { temporaryFolder } from "../support/folder.ts";
import { attached, member } from "./fixture.ts";

const sinceMs = Date.parse("2026-10-28T10:48:06Z");

test("attached", () => {
  const hold = { is: "attached", to: attached(2, { ipv6: "2600:1f18:2a89:703:1001::1" }), sinceMs } as const;
  const state: SavedState = { ...member, hold };
  expect(statusText(state, "attached", undefined)).toMatchInlineSnapshot(`
    "device      0b6c5c6e-33a5-4f0e-9a5e-0f5b6f2b7c22
    user        ana
    group       staff
    attachment  aws-us-east-1-con-00001 since 2026-10-28 10:48:06Z
    addresses   172.18.128.17 2600:1f18:2a89:703:1001::1
    endpoint    172.18.139.4:51820
    session     6f1d3c1e-8f0a-4d53-9d4b-0d9f2a6f3b11 epoch 2
    dns         172.18.0.2"
  `);
  expect(statusExitCode(state, "attached", undefined)).toBe(0);
});

test("waiting for an instance", () => {
  const state: SavedState = { ...member, hold: { is: "waiting", code: "placement.no-address", sinceMs } };
  expect(statusText(state, "attached", undefined)).toMatchInlineSnapshot(`
    "device      0b6c5c6e-33a5-4f0e-9a5e-0f5b6f2b7c22
    user        ana
    group       staff
    attachment  none since 2026-10-28 10:48:06Z: placement.no-address
                Every active instance's pool for this group is full.
                Assign more prefixes to the instances and add them to the pool, or add an instance."
  `);
  expect(statusExitCode(state, "attached", undefined)).toBe(1);
});

describe("the tunnel", () => {
  const hold = { is: "attached", to: attached(2), sinceMs } as const;
  const state: SavedState = { ...member, hold };
  const { session, instance, wireguardKey } = attached(2);
  const path = { session, epoch: 2, instance, wireguardKey, verdict: { is: "alive" as const, sinceMs } };
  const on: TunnelOn = {
    ...{ state: "on", interface: "connector-dev", names: { kind: "none" } },
    ...{ backend: "userspace", path, problem: null },
  };
  const peer = { handshakeAtMs: sinceMs, rxBytes: 1_200, txBytes: 300 };
  const shown = (view: TunnelView) => {
    const text = statusText(state, "attached", view, sinceMs + 72_000);
    return text
      .slice(text.indexOf("tunnel "))
      .split("\n")
      .map((line) => line.slice(12));
  };

  test("carries, with what WireGuard says", () => {
    expect(shown({ runs: true, tunnel: on, peer })).toEqual([
      "connector-dev (userspace)",
      "to aws-us-east-1-con-00001, alive since 2026-10-28 10:48:06Z",
      "handshake 1m 12s ago, 1200 bytes received, 300 sent",
    ]);
    expect(statusExitCode(state, "attached", { runs: true, tunnel: on })).toBe(0);
  });

  test("dead, or not to be set up, is not fine", () => {
    const dead = { ...on, path: { ...path, verdict: { is: "dead" as const, sinceMs } } };
    expect(statusExitCode(state, "attached", { runs: true, tunnel: dead })).toBe(1);
    const problem = { code: "tunnel.failing", text: "The tunnel cannot be set up (command ip)" } as const;
    const failing = { runs: true, tunnel: { ...on, path: null, problem } };
    expect(shown(failing)).toEqual([
      "connector-dev (userspace)",
      "carries nothing",
      "tunnel.failing: The tunnel cannot be set up (command ip)",
      expect.stringContaining("wireguard-go"),
    ]);
    expect(statusExitCode(state, "attached", failing)).toBe(1);
  });

  test("left behind by a process that ended says so, and not what was known then", () => {
    expect(shown({ runs: false, tunnel: on })).toEqual([
      "connector-dev (userspace)",
      "left to aws-us-east-1-con-00001; the device does not run, so nobody probes it",
    ]);
  });

  test("off, with the reason where it was not asked for", () => {
    expect(shown({ runs: true, tunnel: { state: "off", why: null } })).toEqual(["off"]);
    expect(shown({ runs: true, tunnel: { state: "off", why: "tunnel.not-permitted" } })[0]).toBe(
      "off: tunnel.not-permitted",
    );
  });

  test("its file tells whether its writer runs, and a damaged one is none", () => {
    using folder = temporaryFolder();
    const file = new TunnelFile(folder.path);
    expect(file.read()).toBeUndefined();
    file.write(on);
    expect(file.read()).toEqual({ tunnel: on, runs: true });
    const path = join(folder.path, "tunnel.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(/"startedAt": "/, '"startedAt": "1'));
    expect(file.read()?.runs).toBe(false);
    writeFileSync(path, "{");
    expect(file.read()).toBeUndefined();
  });
});

test("refused, by a controller that knows more codes than we do", () => {
  const state: SavedState = {
    format: 1,
    standing: { is: "uninvited" },
    hold: { is: "nothing" },
    refusal: { code: "code.from-the-future", atMs: sinceMs },
  };
  expect(statusText(state, "attached", undefined)).toMatchInlineSnapshot(`
    "device      not joined
    attachment  none
    refused     2026-10-28 10:48:06Z code.from-the-future"
  `);
});

test("logged out is where its user wants it", () => {
  expect(statusText(member, "detached", undefined)).toContain("none, logged out");
  expect(statusExitCode(member, "detached", undefined)).toBe(0);
});

test("the host says what it is, or its kernel does", () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "os-release");
  writeFileSync(file, 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n');
  expect(hostOs(file)).toBe("Debian GNU/Linux 13 (trixie)");
  expect(hostOs(join(folder.path, "none"))).toMatch(/^Linux \d/);
});
