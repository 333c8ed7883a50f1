import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { failed, type Result, success } from "../../protocol/failures.ts";
import type { Asked } from "../api/endpoints.ts";

/** What the options of a command mean as a request. The values themselves are judged by the controller alone. */

export interface SpecOptions {
  readonly file?: string | undefined;
  readonly mode?: string | undefined;
  readonly region?: string | undefined;
  readonly dns?: string | undefined;
  readonly dnsSecondary?: string | undefined;
  readonly dnsIpv6?: string | undefined;
  readonly dnsSecondaryIpv6?: string | undefined;
  readonly group?: readonly string[] | undefined;
  readonly ipv6Pools?: string | undefined;
  readonly network?: readonly string[] | undefined;
  readonly account?: readonly string[] | undefined;
  readonly vpc?: string | undefined;
}

export function inputOf(
  options: SpecOptions & { readonly name: string; readonly hosting?: string | undefined },
): Result<Asked<"connector.create">["body"]> {
  const spec = specOf(options);
  if (!spec.ok) return spec;
  const body = {
    hosting: "aws",
    ...spec.value,
    ...defined({ hosting: options.hosting }),
    name: options.name,
  };
  return success(body as Asked<"connector.create">["body"]);
}

export function changeOf(options: SpecOptions): Result<Asked<"connector.update">["body"]> {
  const spec = specOf(options);
  if (!spec.ok) return spec;
  if (Object.keys(spec.value).length === 0)
    return failed("admin.invalid", { problem: "nothing to change is named" });
  return success(spec.value as Asked<"connector.update">["body"]);
}

export interface ResourceOptions {
  readonly name: string;
  readonly cidr?: string | undefined;
  readonly domain?: string | undefined;
  readonly protocol: "tcp" | "udp" | "icmp" | "any";
  readonly port?: readonly string[] | undefined;
  readonly group: readonly string[];
  readonly serverInitiated: boolean;
}

export function resourceOf(options: ResourceOptions): Result<Asked<"resource.set">["body"]> {
  const { name, cidr, domain, protocol, group, serverInitiated } = options;
  if (cidr === undefined && domain === undefined) {
    return failed("admin.invalid", { problem: "--cidr or --domain is missing" });
  }
  const ports = [];
  for (const text of (options.port ?? []).flatMap((part) => part.split(","))) {
    const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
    if (from === undefined) return failed("admin.invalid", { port: text, wanted: "443 or 8000-8100" });
    ports.push({ from: Number(from), to: Number(to) });
  }
  const destination = cidr === undefined ? { domain: domain ?? "" } : { cidr };
  return success({ name, destination, protocol, ports, serverInitiated, groups: [...group] });
}

/** `Pool1=10.0.1.16/28,2001:db8::/80`: the family of a range shows in itself. */
export function poolsOf(options: {
  readonly file?: string | undefined;
  readonly pools?: readonly string[] | undefined;
}): Result<Asked<"instance.pools.set">["body"]> {
  const fromFile = options.file === undefined ? success({}) : readObject(options.file);
  if (!fromFile.ok) return fromFile;
  const pools: Record<string, { ipv4: string[]; ipv6: string[] }> = {};
  for (const text of options.pools ?? []) {
    const equals = text.indexOf("=");
    if (equals < 1) return failed("admin.invalid", { pool: text, wanted: "POOL=PREFIX[,PREFIX…]" });
    const pool = text.slice(0, equals);
    const ranges = text
      .slice(equals + 1)
      .split(",")
      .filter((range) => range !== "");
    const into = pools[pool] ?? { ipv4: [], ipv6: [] };
    pools[pool] = into;
    for (const range of ranges) (range.includes(":") ? into.ipv6 : into.ipv4).push(range);
  }
  return success({ ...fromFile.value, ...pools } as Asked<"instance.pools.set">["body"]);
}

function specOf(options: SpecOptions): Result<Record<string, unknown>> {
  const file = options.file === undefined ? success({}) : readObject(options.file);
  if (!file.ok) return file;
  const groups = [];
  for (const text of options.group ?? []) {
    const [, group, pool, minutes] = /^([^=]+)=([^:]+)(?::(\d{1,6}))?$/.exec(text) ?? [];
    if (group === undefined || pool === undefined) {
      return failed("admin.invalid", { group: text, wanted: "GROUP=POOL[:LEASE MINUTES]" });
    }
    groups.push({ group, pool, ...(minutes === undefined ? {} : { leaseMinutes: Number(minutes) }) });
  }
  const dns = defined({
    primary: options.dns,
    secondary: options.dnsSecondary,
    primaryIpv6: options.dnsIpv6,
    secondaryIpv6: options.dnsSecondaryIpv6,
  });
  const given = defined({
    mode: options.mode,
    region: options.region,
    dns: Object.keys(dns).length === 0 ? undefined : dns,
    groups: options.group === undefined ? undefined : groups,
    ipv6PoolMatch: options.ipv6Pools,
    networks: options.network,
    accounts: options.account,
    vpc: options.vpc,
  });
  return success({ ...file.value, ...given });
}

function readObject(path: string): Result<Record<string, unknown>> {
  try {
    const value: unknown = parse(readFileSync(path === "-" ? 0 : path, "utf8"), { maxAliasCount: 0 });
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return success({ ...value });
    return failed("admin.file", { file: path, problem: "it holds no fields" });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return failed("admin.file", { file: path, problem: code ?? message.split("\n", 1)[0] ?? "" }, error);
  }
}

function defined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
