import { type FailureCode, failureEntry } from "../../protocol/failures.ts";
import type { AgentObserved, Entry } from "../../protocol/state.ts";
import type { Instant } from "../../protocol/time.ts";
import type { InstanceStatus } from "../../protocol/view.ts";
import type { AgentParts } from "./agent-parts.ts";
import type { Problem } from "./conditions.ts";
import type { Holds } from "./holds.ts";
import type { DataPathPlan } from "./ports.ts";
import { statusOf } from "./status.ts";

/** What is derived from the parts together, whenever it is asked for. */

export function instanceStatus(parts: AgentParts): InstanceStatus {
  return statusOf({
    enrolled: parts.enrolment.record?.enrolment !== undefined,
    linkUp: parts.uplink.state.kind === "open",
    holds: parts.lifecycle.holds.reasons,
    verifiedPools: verifiedPools(parts),
    dataPathInSync: parts.dataPath.isServing,
  });
}

function verifiedPools({ desired, prefixes }: AgentParts): number {
  const verified = prefixes.verified;
  const isVerified = (text: string) => verified.has(text);
  return [...desired.pools.values()].filter(
    ({ ipv4, ipv6 }) => ipv4.some(isVerified) || ipv6.some(isVerified),
  ).length;
}

/** Undefined while the plan would take away what the kernel holds, for not knowing better. */
export function dataPathPlan(parts: AgentParts): DataPathPlan | undefined {
  const { desired, enrolment, leases, prefixes, dataPath } = parts;
  // The interface has the instance's key.
  if (enrolment.record === undefined) return undefined;
  const isKnown = leases.arePeersKnown && prefixes.observed !== undefined;
  if (!isKnown && dataPath.routed === undefined) return undefined;
  return {
    routes: [...prefixes.verified],
    // Its users are others' now; a device that is not told so must not get in here either.
    peers: parts.uplink.isRemoved ? [] : leases.peers(),
    resources: desired.resources,
    dns: desired.connector?.dns,
  };
}

export function instanceEntry(
  parts: AgentParts,
  now: Instant,
): Extract<Entry<AgentObserved>, { kind: "instance" }>["value"] {
  const { parameters, process, version, upSince, conditions, lifecycle } = parts;
  const { publicAddress, wireguardPort } = parameters;
  return {
    status: instanceStatus(parts),
    conditions: conditions.shown(now),
    version,
    upSinceMs: Math.floor(upSince.wallMs),
    process,
    ...drainEntry(lifecycle.holds),
    managementIp: parameters.ip,
    activeAgents: parts.traffic.activeAgents,
    endpoint: `${publicAddress.includes(":") ? `[${publicAddress}]` : publicAddress}:${wireguardPort}`,
  };
}

function drainEntry({ view, reasons }: Holds) {
  if (view === undefined) return {};
  const { sinceMs, untilMs } = view;
  return { drain: { reasons: [...reasons], sinceMs, ...(untilMs === undefined ? {} : { untilMs }) } };
}

/** Everything that is wrong now, from whoever knows it. */
export function problems(parts: AgentParts): Problem[] {
  const { enrolment, prefixes, dataPath, traffic, lifecycle, clockWatch } = parts;
  return [
    ...linkProblem(parts),
    ...enrolment.problems(),
    ...prefixes.problems(),
    ...poolProblems(parts),
    ...dataPath.problems(),
    ...traffic.problems(),
    ...lifecycle.problems(),
    ...clockWatch.problems(),
  ];
}

function linkProblem({ uplink }: AgentParts): Problem[] {
  if (uplink.trouble === undefined) return uplink.isContested ? [{ code: "link.superseded" }] : [];
  const { why, text } = uplink.trouble;
  const says = text === undefined ? "" : besideSummary(why, text);
  return [{ code: why, ...(says === "" ? {} : { facts: { "controller says": says } }) }];
}

/** A controller of this version says the code's own sentence, which stands there anyway, and then its facts in brackets. */
function besideSummary(code: FailureCode, text: string): string {
  const { summary } = failureEntry(code);
  return text.startsWith(summary) ? text.slice(summary.length).replace(/^ \((.*)\)$/, "$1") : text;
}

function poolProblems({ desired, leases }: AgentParts): Problem[] {
  const problems: Problem[] = [];
  const hasRanges = [...desired.pools.values()].some(({ ipv4, ipv6 }) => ipv4.length + ipv6.length > 0);
  if (desired.connector !== undefined && !hasRanges) problems.push({ code: "pool.none" });
  const { full, uneven, store, lostTo } = leases.conditions();
  for (const pool of full) problems.push({ code: "pool.full", subject: pool, facts: { pool } });
  for (const pool of uneven) problems.push({ code: "pool.uneven", subject: pool, facts: { pool } });
  if (store !== undefined) problems.push({ code: store });
  if (lostTo !== undefined) problems.push({ code: "store.corrupt", facts: { kept: lostTo } });
  return problems;
}
