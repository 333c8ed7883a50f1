import { parseAddress } from "../../protocol/address.ts";
import type { DnsServers, ResourceSpec } from "../../protocol/specs.ts";
import { domainsOf } from "./firewall.ts";
import type { TunnelEnd } from "./firewall-groups.ts";
import { learnedForMs, learnedSets } from "./firewall-learned.ts";
import { cachedForMs } from "./resolver-names.ts";

/** dnsmasq as the resolver that devices ask: its two files. */
export interface ResolverFiles {
  /** Read when it starts: a change of this text takes a restart. */
  readonly config: string;
  /** The servers it asks, in order: read again on SIGHUP, and no query is lost by that. */
  readonly servers: string;
  /** Where it answers, and where it is asked whether it does. */
  readonly listen: readonly string[];
}

/** A name that the resolver answers by itself, whatever its upstreams do: that there is none (RFC 6761, 6.4). */
export const livenessName = "connector.invalid";

export interface ResolverPlace {
  readonly tunnel: TunnelEnd;
  /** Where `servers` will stand, and where dnsmasq writes its process id. */
  readonly serversFile: string;
  readonly pidFile: string;
  /** Whom dnsmasq becomes when it is started as root. */
  readonly user: string;
}

/** BOUNDED: cached answers, and queries that wait for an upstream's answer. */
const cacheSize = 10_000;
const waitingMax = 1_000;

/**
 * No life time is handed out that outlives what the firewall knows (`learnedForMs`), and none is cached longer than `cachedForMs`. Upstreams are asked strictly in
 * order, those in `silent` last: asking all at once, or whoever answered first, would let a secondary that knows less
 * answer while the primary works. By itself dnsmasq asks the next one only when a device repeats its query with the same
 * number, which some do and some do not (2.90, measured; fast-dns-retry repeats to the same one): so `silent` is what
 * makes the secondary answer for all.
 */
export function resolverFiles(
  dns: DnsServers,
  resources: Iterable<ResourceSpec>,
  place: ResolverPlace,
  silent: ReadonlySet<string> = new Set(),
): ResolverFiles {
  const { ipv4, ipv6 } = place.tunnel;
  const listen = [ipv4, ipv6].filter((address) => address !== undefined);
  const ttlMax = learnedForMs / 1000;
  const config = [
    "keep-in-foreground",
    `pid-file=${place.pidFile}`,
    `user=${place.user}`,
    "log-facility=-",
    `listen-address=${listen.join(",")}`,
    // `bind-dynamic` would need CAP_NET_BIND_SERVICE, whatever the sysctl says (2.90).
    "bind-interfaces",
    // Who asks for `servers.bind` is told of the upstreams otherwise.
    "no-ident",
    `local=/${livenessName}/`,
    "no-hosts",
    "no-resolv",
    "no-poll",
    `servers-file=${place.serversFile}`,
    "strict-order",
    `cache-size=${cacheSize}`,
    `dns-forward-max=${waitingMax}`,
    `max-ttl=${ttlMax}`,
    `max-cache-ttl=${cachedForMs / 1000}`,
    "edns-packet-max=1232",
    ...setLines([...domainsOf(resources)]),
    "",
  ].join("\n");
  return { config, servers: serverLines(serversOf(dns), silent), listen };
}

/** The servers of a connector in the order in which they are asked: the primary's addresses, then the secondary's. */
export function serversOf(dns: DnsServers): string[] {
  return [dns.primary, dns.primaryIpv6, dns.secondary, dns.secondaryIpv6].filter(
    (address): address is string => address !== undefined && parseAddress(address) !== undefined,
  );
}

function serverLines(servers: readonly string[], silent: ReadonlySet<string>): string {
  const answering = servers.filter((server) => !silent.has(server));
  const last = servers.filter((server) => silent.has(server));
  return [...answering, ...last].map((server) => `server=${server}\n`).join("");
}

/**
 * dnsmasq takes only the longest domain that fits a name, and it fits all names below: so a domain's line fills its own
 * sets and those of every domain above it that a service names.
 */
function setLines(domains: readonly string[]): string[] {
  return domains.map((domain) => {
    const fitting = domains.filter((other) => domain === other || domain.endsWith(`.${other}`));
    const nearest = fitting.sort((a, b) => b.length - a.length).slice(0, fittingMax);
    const sets = nearest.flatMap(learnedSets).map(({ family, now }) => `${family}#inet#connector#${now}`);
    return `nftset=/${domain}/${sets.join(",")}`;
  });
}

/** BOUNDED: domains in one line; dnsmasq reads no more than 1,024 letters of it. The widest beyond that learn nothing. */
const fittingMax = 5;
