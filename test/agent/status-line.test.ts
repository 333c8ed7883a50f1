import { expect, test } from "vitest";
import { statusLine } from "../../agent/core/status-line.ts";
import type { Condition, StatusView } from "../../protocol/view.ts";
import { active } from "./cli-fixture.ts";

const condition = (code: string, severity: Condition["severity"], sinceMs = 0): Condition => ({
  code,
  severity,
  sinceMs,
  text: `What ${code} means.`,
  hint: "",
});
const well = { ...active, name: "aws-us-vir-con-00001", connector: "prod", sessions: 2, conditions: [] };

test("says how it is, as whom, and how many it serves", () => {
  expect(statusLine(well)).toBe("Active as aws-us-vir-con-00001 in prod, 2 sessions");
  const { name: _, connector: __, ...nobody } = well;
  expect(statusLine({ ...nobody, status: "Configured", sessions: 0 })).toBe("Configured, 0 sessions");
});

test("says what is wrong, the worst first, with its code", () => {
  const conditions = [
    condition("instance.draining", "info"),
    condition("pool.full", "warning", 1),
    condition("link.down", "error", 5),
    condition("store.full", "error", 3),
  ];
  expect(statusLine({ ...well, status: "Offline", conditions })).toBe(
    "Offline as aws-us-vir-con-00001 in prod, 2 sessions; What store.full means [store.full], and 2 more",
  );
});

test("says that it drains, that it leaves, and that it has left", () => {
  const draining: StatusView = { ...well, status: "Draining", drain: ["cli", "spot"] };
  expect(statusLine(draining)).toContain("2 sessions; drains (cli, spot)");
  const leaving = { state: "leaving", reason: "shutdown", untilMs: 0 } as const;
  expect(statusLine({ ...draining, departure: leaving })).toContain("; leaves the group (shutdown)");
  const left = { state: "left", reason: "shutdown", atMs: 0, sessions: 0 } as const;
  expect(statusLine({ ...draining, departure: left })).toContain("; has left the group");
});
