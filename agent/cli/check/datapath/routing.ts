import { addressAt, type Prefix, parsePrefix } from "../../../../protocol/address.ts";
import type { Run } from "../../../../protocol/node/command.ts";
import { instanceInterface } from "../../../../protocol/tunnel.ts";
import type { DefaultRoute } from "./forwarding.ts";

/** Where the kernel would send a packet: the interface, or why it would not. */
export type Way =
  | { readonly is: "by"; readonly link: string }
  | { readonly is: "refused"; readonly error: string };

/** Where packets of one prefix go, as the kernel says with all rules and tables considered. */
export interface PrefixWays {
  readonly prefix: string;
  /** From a user to elsewhere. */
  readonly out: Way;
  /** To a user; undefined when the prefix is not routed into the tunnel now. */
  readonly in: Way | undefined;
  /** From a user to another address of the prefix; undefined like `in`. */
  readonly between: Way | undefined;
}

/** A policy rule besides the kernel's own. */
export interface PolicyRule {
  readonly priority: number;
  /** `from 172.18.128.176/28 lookup 10001` */
  readonly text: string;
  /** The mark of amazon-ec2-net-utils: priority and table are the same, 10001 and up. */
  readonly isNetUtils: boolean;
}

export interface RoutingSeen {
  readonly ways: readonly PrefixWays[];
  readonly rules: readonly PolicyRule[];
  readonly ipv6Routes: readonly DefaultRoute[];
}

/** Rules concern an interface's prefixes alike; more than so many teach nothing new. */
const prefixesMax = 16;

/** An address that is nobody's (RFC 5737, RFC 3849), for whatever is not here. */
const elsewhere = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;

/** Asks the kernel, which forwards nothing for it. */
export async function lookAtRouting(
  run: Run,
  link: string,
  prefixes: readonly string[],
): Promise<RoutingSeen> {
  const ask = <T>(...args: string[]) => askIp<T>(run, args);
  const [rules4, rules6, default6, tunnel4, tunnel6] = await Promise.all([
    ask<IpRule>("-4", "rule", "show"),
    ask<IpRule>("-6", "rule", "show"),
    ask<IpRoute>("-6", "route", "show", "default", "dev", link),
    ask<IpRoute>("-4", "route", "show", "dev", instanceInterface),
    ask<IpRoute>("-6", "route", "show", "dev", instanceInterface),
  ]);
  const routed = new Set([...tunnel4, ...tunnel6].map(({ dst }) => dst));
  const ways: PrefixWays[] = [];
  for (const text of prefixes.slice(0, prefixesMax)) {
    const prefix = parsePrefix(text);
    if (prefix.ok) ways.push(await waysOf(run, link, prefix.value, routed.has(prefix.value.text)));
  }
  return {
    ways,
    rules: [...rules4, ...rules6].filter(({ table }) => !kernelTables.has(table ?? "")).map(policyRule),
    ipv6Routes: default6.map(({ protocol }) => ({ protocol })),
  };
}

async function waysOf(run: Run, link: string, prefix: Prefix, isRouted: boolean): Promise<PrefixWays> {
  const [first, second] = [addressAt(prefix)(0), addressAt(prefix)(1)];
  const far = elsewhere[prefix.family];
  const way = (to: string, from: string, by: string) => askWay(run, prefix.family, { to, from, by });
  if (!isRouted) {
    return { prefix: prefix.text, out: await way(far, first, link), in: undefined, between: undefined };
  }
  const [out, into, between] = await Promise.all([
    way(far, first, instanceInterface),
    way(first, far, link),
    way(second, first, instanceInterface),
  ]);
  return { prefix: prefix.text, out, in: into, between };
}

async function askWay(
  run: Run,
  family: 4 | 6,
  packet: { to: string; from: string; by: string },
): Promise<Way> {
  const { to, from, by } = packet;
  const answer = await run(["ip", "-json", `-${family}`, "route", "get", to, "from", from, "iif", by]);
  if (!answer.ok) return { is: "refused", error: String(answer.failure.facts.error) };
  const [route] = JSON.parse(answer.value || "[]") as IpRoute[];
  return route?.dev === undefined ? { is: "refused", error: "no route" } : { is: "by", link: route.dev };
}

/** Nothing where it has nothing, or no such interface. */
async function askIp<T>(run: Run, args: readonly string[]): Promise<T[]> {
  const answer = await run(["ip", "-json", ...args]);
  return answer.ok ? (JSON.parse(answer.value || "[]") as T[]) : [];
}

const kernelTables: ReadonlySet<string> = new Set(["local", "main", "default"]);

function policyRule({ priority, src, srclen, dst, dstlen, fwmark, iif, oif, table }: IpRule): PolicyRule {
  const selectors = [
    ["from", src === undefined || srclen === undefined ? src : `${src}/${srclen}`],
    ["to", dst === undefined || dstlen === undefined ? dst : `${dst}/${dstlen}`],
    ["fwmark", fwmark],
    ["iif", iif],
    ["oif", oif],
    ["lookup", table],
  ].flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]));
  return { priority, text: selectors.join(" "), isNetUtils: priority > 10_000 && String(priority) === table };
}

interface IpRule {
  readonly priority: number;
  readonly src?: string;
  readonly srclen?: number;
  readonly dst?: string;
  readonly dstlen?: number;
  readonly fwmark?: string;
  readonly iif?: string;
  readonly oif?: string;
  readonly table?: string;
}

interface IpRoute {
  readonly dst?: string;
  readonly dev?: string;
  readonly protocol?: string;
}
