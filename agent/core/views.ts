import type { LinkState } from "../../protocol/link.ts";
import type { Clock, Instant } from "../../protocol/time.ts";
import type { LinkView, PoolView, SessionView, StatusView } from "../../protocol/view.ts";
import type { AgentParts } from "./agent-parts.ts";
import { instanceStatus } from "./facts.ts";
import type { AgentViews } from "./ports.ts";

/** The views of an agent, derived at the moment of asking. */
export function viewsOf(parts: AgentParts, clock: Clock): AgentViews {
  return {
    status: () => statusView(parts, clock()),
    pools: () => poolViews(parts),
    leases: () => parts.leases.leaseViews(clock()),
    sessions: () => sessionViews(parts, clock()),
    prefixes: () => parts.prefixes.rows(parts.dataPath.routed),
  };
}

function statusView(parts: AgentParts, now: Instant): StatusView {
  const { parameters, enrolment, uplink, desired, lifecycle, conditions, prefixes } = parts;
  const { record } = enrolment;
  const readAtMs = prefixes.observed?.readAtMs;
  return {
    ...(record?.enrolment === undefined
      ? {}
      : { name: record.enrolment.name, connector: record.enrolment.connector }),
    ...(record === undefined ? {} : { instanceId: record.ec2InstanceId }),
    status: instanceStatus(parts),
    managementIp: parameters.ip,
    gateway: parameters.gateway,
    controller: parameters.controller,
    link: linkView(uplink.state, now),
    activeAgents: parts.traffic.activeAgents,
    sessions: desired.sessions.size,
    pools: poolViews(parts),
    ...lifecycle.view(now),
    conditions: conditions.shown(now),
    ...(readAtMs === undefined ? {} : { prefixesReadAtMs: readAtMs }),
    version: parts.version,
    upSinceMs: Math.floor(parts.upSince.wallMs),
    nowMs: Math.floor(now.wallMs),
  };
}

function sessionViews({ leases, traffic }: AgentParts, now: Instant): SessionView[] {
  return leases.sessionViews(now).map((view) => {
    const seen = traffic.of(view.session);
    if (seen === undefined) return view;
    const { rxBytes, txBytes, handshakeAtMs, endpoint } = seen;
    return {
      ...view,
      rxBytes,
      txBytes,
      ...(handshakeAtMs === undefined ? {} : { handshakeMs: Math.floor(handshakeAtMs) }),
      ...(endpoint === undefined ? {} : { endpoint }),
    };
  });
}

function poolViews({ desired, leases, prefixes }: AgentParts): PoolView[] {
  const verified = prefixes.verified;
  return [...desired.pools].map(([name, { group, leaseMinutes, ipv4, ipv6 }]) => ({
    name,
    group,
    leaseMinutes,
    ranges: [...ipv4, ...ipv6].map((prefix) => ({ prefix, verified: verified.has(prefix) })),
    ...(leases.counts(name) ?? { total: 0, leased: 0, cooling: 0, quarantined: 0, free: 0 }),
  }));
}

function linkView(state: LinkState, now: Instant): LinkView {
  switch (state.kind) {
    case "idle":
      return { state: "stopped" };
    case "dialling":
    case "proving":
      return { state: "connecting" };
    case "open":
      return { state: "up", sinceMs: Math.floor(state.since.wallMs) };
    case "waiting":
      return {
        state: "waiting",
        retryInMs: Math.max(0, Math.ceil(state.retryAtMs - now.monotonicMs)),
        code: state.why,
      };
    case "stopped":
      return { state: "stopped", code: state.why };
  }
}
