import { pino } from "pino";
import { runCli } from "../../agent/cli/program.ts";
import type { AgentActions } from "../../agent/core/local-api.ts";
import type { AgentViews } from "../../agent/core/ports.ts";
import type { World } from "../../protocol/node/world.ts";
import type { LeaseView, PoolView, PrefixRow, SessionView, StatusView } from "../../protocol/view.ts";
import { type Ended, inTerminal } from "../support/terminal.ts";

export const silent = pino({ level: "silent" });

/** The machine that runs the tests is no instance: `check` leaves its kernel alone. */
export const noDataPath = { CONNECTOR_DATAPATH: "record" } as const;

/** Noon of a fixed day: everything in the fixed views is counted from here. */
export const nowMs = Date.UTC(2026, 10, 22, 12, 0, 0);
const [second, minute, hour] = [1000, 60_000, 3_600_000];

export const pool1: PoolView = {
  name: "Pool1",
  group: "Engineering",
  leaseMinutes: 1440,
  total: 16,
  leased: 3,
  cooling: 1,
  quarantined: 0,
  free: 12,
  ranges: [
    { prefix: "172.18.128.176/28", verified: true },
    { prefix: "2600:1f18:2a89:703:275::/80", verified: true },
  ],
};

export const active: StatusView = {
  name: "aws-us-vir-con-00008",
  connector: "Virginia",
  instanceId: "i-0e306ccdf94ab1234",
  status: "Active",
  managementIp: "172.18.140.76",
  gateway: "172.18.140.1",
  controller: "https://controller.example.internal:8443",
  link: { state: "up", sinceMs: nowMs - 2 * hour },
  activeAgents: 3,
  sessions: 3,
  pools: [pool1],
  drain: [],
  conditions: [],
  prefixesReadAtMs: nowMs - 4 * second,
  version: "0.1.0",
  upSinceMs: nowMs - 2 * hour - 3 * minute,
  nowMs,
};

/** Linked, but one pool's prefix is gone from AWS and the other is full. */
export const online: StatusView = {
  ...active,
  status: "Online",
  activeAgents: 0,
  sessions: 1,
  pools: [
    { ...pool1, leased: 0, cooling: 0, quarantined: 16, free: 0 },
    {
      ...pool1,
      name: "Pool2",
      group: "Contractors",
      total: 16,
      leased: 16,
      cooling: 0,
      free: 0,
      ranges: [{ prefix: "172.18.128.192/28", verified: false }],
    },
  ],
  conditions: [
    {
      code: "pool.full",
      severity: "warning",
      subject: "Pool2",
      sinceMs: nowMs - 10 * minute,
      text: "The pool has no free address",
      hint: "Assign another prefix to the instance and add it to the pool, or add an instance.",
    },
    {
      code: "prefix.vanished",
      severity: "error",
      subject: "172.18.128.176/28",
      sinceMs: nowMs - 5 * minute,
      text: "AWS no longer routes the prefix to this instance; its leases are quarantined",
      hint: "Assign the prefix again, or remove it from the pool in the controller.",
    },
  ],
};

export const draining: StatusView = {
  ...active,
  status: "Draining",
  sessions: 12,
  drain: ["cli", "spot"],
  draining: { sinceMs: nowMs - 75 * second, untilMs: nowMs + 45 * second, sessionsMost: 40 },
};

export const leaving: StatusView = {
  ...active,
  status: "Draining",
  sessions: 1,
  drain: ["shutdown"],
  draining: { sinceMs: nowMs - 15 * second, untilMs: nowMs + 45 * second, sessionsMost: 1 },
  departure: { state: "leaving", reason: "shutdown", untilMs: nowMs + 45 * second },
};

export const unenrolled: StatusView = {
  ...active,
  name: undefined,
  connector: undefined,
  instanceId: undefined,
  status: "Configured",
  link: { state: "waiting", retryInMs: 12_000, code: "otp.expired" },
  activeAgents: 0,
  sessions: 0,
  pools: [],
  prefixesReadAtMs: undefined,
  conditions: [
    {
      code: "otp.expired",
      severity: "error",
      sinceMs: nowMs - 30 * second,
      text: "The one-time password has expired",
      hint: "Create a new OTP and launch the instance within its life time.",
    },
  ],
};

const device = (n: number) => `0190000${n}-1111-4222-8333-444455556666`;
const ipv6 = (n: number) => `2600:1f18:2a89:703:275::${n.toString(16)}`;

export const leases: LeaseView[] = [
  {
    pool: "Pool1",
    device: device(2),
    user: "bartholomew.longname@example.com",
    ipv4: "172.18.128.178",
    ipv6: ipv6(2),
    state: "leased",
    untilMs: nowMs + 3 * hour + 12 * minute,
  },
  {
    pool: "Pool1",
    device: device(1),
    user: "alice",
    ipv4: "172.18.128.177",
    ipv6: ipv6(1),
    state: "leased",
    session: "01900000-aaaa-4bbb-8ccc-000000000001",
    untilMs: nowMs + 24 * hour,
  },
  {
    pool: "Pool1",
    device: device(3),
    ipv4: "172.18.128.186",
    ipv6: ipv6(10),
    state: "cooling",
    untilMs: nowMs + 2 * minute + 30 * second,
  },
];

export const sessions: SessionView[] = [
  {
    session: "01900000-aaaa-4bbb-8ccc-000000000002",
    epoch: 3,
    device: device(4),
    user: "bob",
    pool: "Pool2",
    state: "refused",
    code: "pool.full",
  },
  {
    session: "01900000-aaaa-4bbb-8ccc-000000000001",
    epoch: 1,
    device: device(1),
    user: "alice",
    pool: "Pool1",
    state: "granted",
    ipv4: "172.18.128.177",
    ipv6: ipv6(1),
    lastSeenMs: nowMs - 12 * second,
    rxBytes: 1_234_567,
    txBytes: 53_999_999_999,
    handshakeMs: nowMs - 72 * second,
    endpoint: "198.51.100.7:40012",
  },
];

export const prefixes: PrefixRow[] = [
  {
    prefix: "2600:1f18:2a89:703:275::/80",
    pool: "Pool1",
    imds: "present",
    dataPath: "routed",
    verdict: "ok",
  },
  {
    prefix: "172.18.128.192/28",
    pool: "Pool2",
    imds: "absent",
    dataPath: "absent",
    verdict: "prefix.not-assigned",
  },
  { prefix: "172.18.128.176/28", pool: "Pool1", imds: "present", dataPath: "routed", verdict: "ok" },
  { prefix: "172.18.129.0/28", imds: "present", dataPath: "absent", verdict: "prefix.unused" },
];

export interface FakeAgent {
  readonly views: AgentViews;
  readonly actions: AgentActions;
  readonly asked: string[];
}

/** An agent that says what it is told to say, and remembers what it was asked. */
export function fakeAgent(status: StatusView = active): FakeAgent {
  const asked: string[] = [];
  let drain = status.drain;
  const now = (): StatusView => ({
    ...status,
    drain,
    status: drain.length > 0 && status.status === "Active" ? "Draining" : status.status,
  });
  return {
    asked,
    views: {
      status: now,
      pools: () => status.pools,
      leases: () => leases,
      sessions: () => sessions,
      prefixes: () => prefixes,
    },
    actions: {
      drain: async () => {
        asked.push("drain");
        drain = [...new Set([...drain, "cli" as const])];
        return now();
      },
      resume: async () => {
        asked.push("resume");
        drain = drain.filter((reason) => reason !== "cli");
        return now();
      },
      leave: async () => {
        asked.push("leave");
        return now();
      },
      verify: async () => {
        asked.push("verify");
        return now();
      },
    },
  };
}

/** Runs the CLI in this process: an 80-column terminal without color at noon, unless told otherwise. */
export function connector(
  args: readonly string[],
  options: {
    readonly env?: World["env"];
    readonly screen?: { columns: number; rows: number } | undefined;
    readonly stop?: AbortSignal;
    readonly onPrint?: (text: string) => void;
  } = {},
): Promise<Ended> {
  const { screen: _, ...over } = options;
  return inTerminal((world) => runCli(args, world), {
    env: { NO_COLOR: "1" },
    now: () => nowMs,
    ...over,
    screen: () => ("screen" in options ? options.screen : { columns: 80, rows: 40 }),
  });
}
