import { readFileSync } from "node:fs";
import type { Run } from "../../../../protocol/node/command.ts";
import { instanceInterface } from "../../../../protocol/tunnel.ts";

/** A chain of somebody else that every forwarded packet, or every one to this host, must pass too. */
export interface Filter {
  /** `inet firewalld` */
  readonly table: string;
  readonly chain: string;
  readonly hook: "forward" | "input";
  /** Drops what none of its rules accepts, by policy or by its last rule. */
  readonly isClosed: boolean;
  /** One of the table's rules names the tunnel's interface. */
  readonly knowsTunnel: boolean;
  /** One of the table's rules names WireGuard's port. */
  readonly knowsPort: boolean;
  readonly madeBy: "docker" | "firewalld" | "ufw" | undefined;
}

export type FiltersSeen =
  | { readonly is: "seen"; readonly filters: readonly Filter[]; readonly hasLegacy: boolean }
  /** Not for us to look at, or nothing to look with. */
  | { readonly is: "hidden"; readonly error: string };

/** Tables besides ours that are looked into; a host has a handful. */
const tablesMax = 16;

/** nftables' chains first: our own table, which may be large, is never listed. */
export async function lookAtFilters(run: Run, wireguardPort: number): Promise<FiltersSeen> {
  const answer = await run(["nft", "-j", "list", "chains"]);
  if (!answer.ok) return { is: "hidden", error: String(answer.failure.facts.error) };
  const hooked = chainsIn(answer.value).filter(isHooked);
  const tables = [...new Set(hooked.map(tableOf))].filter((table) => table !== "inet connector");
  const filters: Filter[] = [];
  for (const table of tables.slice(0, tablesMax)) {
    const listed = await run(["nft", "-j", "list", "table", ...table.split(" ")]);
    // It went meanwhile.
    if (!listed.ok) continue;
    const rules = objectsIn(listed.value).flatMap(({ rule }) => (rule === undefined ? [] : [rule]));
    const about = {
      table,
      knowsTunnel: rules.some((rule) => has(rule.expr, instanceInterface)),
      knowsPort: rules.some((rule) => has(rule.expr, wireguardPort)),
      madeBy: makerOf(table, chainsIn(listed.value)),
    };
    for (const chain of hooked.filter((each) => tableOf(each) === table)) {
      const last = rules.findLast((rule) => rule.chain === chain.name);
      const isClosed = chain.policy === "drop" || (last !== undefined && dropsAll(last));
      filters.push({ ...about, chain: chain.name, hook: chain.hook, isClosed });
    }
  }
  return { is: "seen", filters, hasLegacy: hasLegacyFilter() };
}

function dropsAll({ expr }: NftRule): boolean {
  return (
    expr.every((each) => "counter" in each || "drop" in each || "reject" in each || "log" in each) &&
    expr.some((each) => "drop" in each || "reject" in each)
  );
}

/** Anywhere in a rule, as a whole value. */
function has(value: unknown, wanted: string | number): boolean {
  if (value === wanted) return true;
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some((each) => has(each, wanted));
}

function makerOf(table: string, chains: readonly NftChain[]): Filter["madeBy"] {
  if (table.endsWith(" firewalld")) return "firewalld";
  if (chains.some(({ name }) => name.startsWith("ufw-") || name.startsWith("ufw6-"))) return "ufw";
  return chains.some(({ name }) => name === "DOCKER-USER") ? "docker" : undefined;
}

function isHooked(chain: NftChain): chain is NftChain & { readonly hook: Filter["hook"] } {
  return chain.hook === "forward" || chain.hook === "input";
}

/** The old iptables keeps its rules where nft does not see them. */
function hasLegacyFilter(): boolean {
  return ["ip_tables_names", "ip6_tables_names"].some((file) => {
    try {
      return readFileSync(`/proc/self/net/${file}`, "utf8").split("\n").includes("filter");
    } catch {
      return false;
    }
  });
}

interface NftChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

interface NftRule {
  readonly chain: string;
  readonly expr: readonly Readonly<Record<string, unknown>>[];
}

interface NftObject {
  readonly chain?: NftChain;
  readonly rule?: NftRule;
}

function tableOf({ family, table }: NftChain): string {
  return `${family} ${table}`;
}

function chainsIn(json: string): NftChain[] {
  return objectsIn(json).flatMap(({ chain }) => (chain === undefined ? [] : [chain]));
}

function objectsIn(json: string): readonly NftObject[] {
  return (JSON.parse(json) as { nftables: readonly NftObject[] }).nftables;
}
