import { instanceInterface } from "../../../../protocol/tunnel.ts";
import { fail, type Line, ok, skip, warn } from "../line.ts";
import type { Filter, FiltersSeen } from "./filters.ts";

/**
 * What other tables drop stays dropped, whatever ours accepts: a packet must pass every chain of its hook. Rules that
 * name the tunnel are taken to let it pass.
 */
export function judgeFilters(seen: FiltersSeen, wireguardPort: number): Line[] {
  if (seen.is === "hidden") {
    const needs = /not permitted/i.test(seen.error) ? "needs root" : seen.error;
    return [skip("forward filters", needs), skip("input filters", needs)];
  }
  const legacy = seen.hasLegacy ? [legacyLine] : [];
  return [judgeForward(seen.filters), judgeInput(seen.filters, wireguardPort), ...legacy];
}

function judgeForward(filters: readonly Filter[]): Line {
  const name = "forward filters";
  const closed = filters.filter(({ hook, isClosed }) => hook === "forward" && isClosed);
  const wrong = closed.find(({ knowsTunnel }) => !knowsTunnel);
  if (wrong !== undefined) {
    return fail(
      name,
      `${placeOf(wrong)} drops what it does not accept, and knows nothing of ${instanceInterface}`,
      openForward(wrong),
    );
  }
  if (closed.length === 0) return ok(name, "none but the agent's");
  return ok(name, `${closed.map(placeOf).join(", ")}, with rules for ${instanceInterface}`);
}

function judgeInput(filters: readonly Filter[], port: number): Line {
  const name = "input filters";
  const closed = filters.filter(({ hook, isClosed }) => hook === "input" && isClosed);
  const wrong = closed.find(({ knowsTunnel, knowsPort }) => !knowsTunnel || !knowsPort);
  if (wrong !== undefined) {
    const missing = [
      ...(wrong.knowsPort ? [] : [`UDP ${port}`]),
      ...(wrong.knowsTunnel ? [] : [`what comes in by ${instanceInterface}`]),
    ];
    return warn(
      name,
      `${placeOf(wrong)} drops what it does not accept, and names neither of its rules for: ${missing.join(", ")}`,
      openInput(wrong, port),
    );
  }
  if (closed.length === 0) return ok(name, "none but the agent's");
  return ok(name, `${closed.map(placeOf).join(", ")}, with rules for WireGuard and the tunnel`);
}

function openForward({ madeBy, table }: Filter): string {
  const both = ["-i", "-o"].map((side) => `${side} ${instanceInterface} -j ACCEPT`);
  switch (madeBy) {
    case "docker": {
      const tool = table.startsWith("ip6 ") ? "ip6tables" : "iptables";
      return both.map((rule) => `${tool} -I DOCKER-USER ${rule}`).join("; ");
    }
    case "ufw":
      return `ufw route allow in on ${instanceInterface}; ufw route allow out on ${instanceInterface}`;
    case "firewalld":
      return `Stop firewalld on this instance, or give it a policy that accepts what is forwarded from and to ${instanceInterface}.`;
    case undefined:
      return `Accept in ${table} what is forwarded from and to ${instanceInterface}.`;
  }
}

function openInput({ madeBy, table }: Filter, port: number): string {
  switch (madeBy) {
    case "ufw":
      return `ufw allow ${port}/udp; ufw allow in on ${instanceInterface}`;
    case "firewalld":
      return `firewall-cmd --permanent --add-port=${port}/udp; firewall-cmd --permanent --zone=trusted --add-interface=${instanceInterface}; firewall-cmd --reload`;
    case "docker":
    case undefined:
      return `Accept in ${table} UDP port ${port}, and what comes in by ${instanceInterface} (the resolver's port 53, echo requests).`;
  }
}

const legacyLine = warn(
  "iptables-legacy",
  "its table filter is loaded, which nft does not show",
  `iptables-legacy -S FORWARD: the policy must be ACCEPT, or rules accept what is forwarded from and to ${instanceInterface}.`,
);

function placeOf({ table, chain, madeBy }: Filter): string {
  return `chain ${chain} of table ${table}${madeBy === undefined ? "" : ` (${madeBy})`}`;
}
