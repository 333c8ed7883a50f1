import { instanceInterface } from "../../../../protocol/tunnel.ts";
import { fail, type Line, ok, skip, warn } from "../line.ts";
import type { PolicyRule, PrefixWays, RoutingSeen, Way } from "./routing.ts";

/** More are counted, not listed. */
const rulesShown = 4;

const names = ["users' way out", "users' way in", "user to user"] as const;

/** Where users' packets go, and the policy rules that have a say in it. */
export function judgeWays({ ways, rules }: RoutingSeen, link: string): Line[] {
  return [
    judgeOut(names[0], ways, link),
    judgeIn(names[1], ways),
    judgeBetween(names[2], ways),
    judgeRules(rules),
  ];
}

/** Without a prefix there is nobody to ask for, and a kernel that does not forward knows no way for anybody. */
export function skipWays(why: string): Line[] {
  return names.map((name) => skip(name, why));
}

/** AWS takes a packet only from the interface that its source address is assigned to. */
function judgeOut(name: string, ways: readonly PrefixWays[], link: string): Line {
  const wrong = ways.find(({ out }) => out.is === "by" && out.link !== link);
  if (wrong?.out.is === "by") {
    return fail(
      name,
      `${wrong.prefix} leaves by ${wrong.out.link}, where AWS drops it: it is assigned to ${link}`,
      `ip rule add priority 10001 from ${wrong.prefix} lookup 10001, and a default route by ${link} in that table (amazon-ec2-net-utils makes both).`,
    );
  }
  const refused = ways.map(({ prefix, out }) => ({ prefix, out })).find(({ out }) => out.is === "refused");
  if (refused?.out.is === "refused") {
    return fail(
      name,
      `${refused.prefix} has none: ${refused.out.error}`,
      `Look for a default route by ${link} (ip route), and for an rp_filter that a line above complains of.`,
    );
  }
  return ok(name, `by ${link}`);
}

function judgeIn(name: string, ways: readonly PrefixWays[]): Line {
  const asked = ways.flatMap(({ prefix, in: way }) => (way === undefined ? [] : [{ prefix, way }]));
  if (asked.length === 0) return skip(name, "needs the tunnel with its routes; the agent makes them");
  const wrong = asked.find(({ way }) => !isInto(way));
  if (wrong === undefined) return ok(name, "into the tunnel");
  return fail(
    name,
    `what is sent to ${wrong.prefix} does not enter the tunnel: ${wayText(wrong.way)}`,
    `Find the policy rule that comes before the main table (ip rule), or: ip rule add priority 9000 to ${wrong.prefix} lookup main`,
  );
}

/** Sent out instead, it comes back from the VPC and is sent out again, until its TTL ends. */
function judgeBetween(name: string, ways: readonly PrefixWays[]): Line {
  const asked = ways.flatMap(({ prefix, between }) =>
    between === undefined ? [] : [{ prefix, way: between }],
  );
  if (asked.length === 0) return skip(name, "needs the tunnel with its routes; the agent makes them");
  const wrong = asked.find(({ way }) => way.is === "by" && !isInto(way));
  if (wrong === undefined) return ok(name, "ends in the tunnel, where it is dropped");
  return warn(
    name,
    `what a user sends to another address of ${wrong.prefix} leaves ${wayText(wrong.way)} because of a policy rule; where a service covers the prefix it goes round between the VPC and here`,
    `ip rule add priority 9000 to ${wrong.prefix} lookup main`,
  );
}

export function judgeRules(rules: readonly PolicyRule[]): Line {
  const name = "policy rules";
  if (rules.length === 0) return ok(name, "none but the kernel's own");
  const texts = rules.slice(0, rulesShown).map(({ priority, text }) => `${priority}: ${text}`);
  const more = rules.length > rulesShown ? [`and ${rules.length - rulesShown} more`] : [];
  const whose = rules.every(({ isNetUtils }) => isNetUtils) ? " (amazon-ec2-net-utils)" : "";
  return ok(name, `${[...texts, ...more].join("; ")}${whose}`);
}

function isInto(way: Way): boolean {
  return way.is === "by" && way.link === instanceInterface;
}

function wayText(way: Way): string {
  switch (way.is) {
    case "by":
      return `by ${way.link}`;
    case "refused":
      return way.error;
  }
}
