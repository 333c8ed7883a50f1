import { failureEntry, isFailureCode } from "../protocol/failures.ts";
import { list } from "../protocol/node/table.ts";
import { duration, exitCodes, timestamp } from "../protocol/node/text.ts";
import type { Wants } from "./core/attachment.ts";
import type { SavedState } from "./core/saved.ts";
import type { TunnelView } from "./tunnel-view.ts";

/** What is on disk about this device: what it was told last, whether or not it runs now. */
export function statusText(
  state: SavedState,
  wants: Wants,
  tunnel: TunnelView | undefined,
  nowMs = Date.now(),
): string {
  const { standing, hold, refusal } = state;
  const pairs: [string, string][] = [];
  if (standing.is === "member" && standing.as !== undefined) {
    pairs.push(["device", standing.as.device], ["user", standing.as.user], ["group", standing.as.group]);
  } else {
    pairs.push(["device", standing.is === "member" ? "joined" : "not joined"]);
  }
  switch (hold.is) {
    case "nothing":
      pairs.push(["attachment", wants === "detached" ? "none, logged out" : "none"]);
      break;
    case "waiting":
      pairs.push(["attachment", `none since ${timestamp(hold.sinceMs)}: ${explained(hold.code)}`]);
      break;
    case "attached": {
      const { to } = hold;
      pairs.push(
        ["attachment", `${to.instance} since ${timestamp(hold.sinceMs)}`],
        ["addresses", [to.ipv4, to.ipv6].filter((address) => address !== undefined).join(" ")],
        ["endpoint", to.endpoint],
        ["session", `${to.session} epoch ${to.epoch}`],
        ["dns", Object.values(to.dns).join(" ")],
      );
      break;
    }
  }
  if (tunnel !== undefined) pairs.push(["tunnel", tunnelText(tunnel, nowMs)]);
  if (refusal !== undefined) {
    pairs.push(["refused", `${timestamp(refusal.atMs)} ${explained(refusal.code)}`]);
  }
  return list(pairs);
}

/** Fine when the device is where its user wants it, and its tunnel is not known to be broken. */
export function statusExitCode(state: SavedState, wants: Wants, tunnel: TunnelView | undefined): number {
  const isAttached = state.hold.is === "attached";
  const isFine = isAttached === (wants === "attached") && !isBroken(tunnel);
  return isFine ? exitCodes.fine : exitCodes.failed;
}

function isBroken(view: TunnelView | undefined): boolean {
  if (view?.runs !== true || view.tunnel.state === "off") return false;
  const { problem, path } = view.tunnel;
  return (problem !== null && problem.code !== "tunnel.names-failing") || path?.verdict?.is === "dead";
}

function tunnelText({ tunnel, runs, peer }: TunnelView, nowMs: number): string {
  if (tunnel.state === "off") return tunnel.why === null ? "off" : `off: ${explained(tunnel.why)}`;
  const { path, problem, backend } = tunnel;
  const lines = [`${tunnel.interface}${backend === null ? "" : ` (${backend})`}`];
  if (path === null) lines.push("carries nothing");
  else if (!runs) lines.push(`left to ${path.instance}; the device does not run, so nobody probes it`);
  else if (path.verdict === null) lines.push(`to ${path.instance}, not heard yet`);
  else lines.push(`to ${path.instance}, ${path.verdict.is} since ${timestamp(path.verdict.sinceMs)}`);
  if (peer !== undefined) {
    const { handshakeAtMs, rxBytes, txBytes } = peer;
    const handshake =
      handshakeAtMs === null ? "no handshake" : `handshake ${duration(nowMs - handshakeAtMs)} ago`;
    lines.push(`${handshake}, ${rxBytes} bytes received, ${txBytes} sent`);
  }
  if (runs && problem !== null) lines.push(`${problem.code}: ${problem.text}`, ...hintOf(problem.code));
  return lines.join("\n");
}

function hintOf(code: string): string[] {
  return isFailureCode(code) ? [failureEntry(code).hint] : [];
}

function explained(code: string): string {
  if (!isFailureCode(code)) return code;
  const { summary, hint } = failureEntry(code);
  return `${code}\n${summary}.\n${hint}`;
}
