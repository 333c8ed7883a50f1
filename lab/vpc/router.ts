import { type Addresses, ipv6Gateway, type Subnet } from "./addresses.ts";
import { ip, layCable, must, nft } from "./commands.ts";

/** A cable between a router and a host, with what is at its ends. */
export interface Link {
  /** At the router's end; its rules go by the first letter. */
  readonly name: string;
  /** At the host's end. */
  readonly interface: string;
  readonly mac?: string;
  readonly mtu: number;
  readonly subnet: Subnet;
  readonly addresses: Addresses;
  /** Further addresses with which the router answers on this link alone. */
  readonly routerIpv6?: string;
}

/** One end of a cable between routers. */
export interface RouterEnd {
  readonly link: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** What is behind it. */
  readonly cidrs: readonly string[];
}

/** Of a cable, as its host sees it: what it sends, what is sent to it. */
export type Way = "from" | "to";

const cuts = { from: "cut_from", to: "cut_to" } as const satisfies Record<Way, string>;

/** A namespace that forwards, and that knows which link may send from which address. */
export class Router {
  readonly namespace: string;

  private constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** `ipv6` is the router's own, from which it complains about packets; what goes `nowhere` vanishes without complaint. */
  static async create(
    namespace: string,
    rules: string,
    options: { readonly ipv6: string; readonly nowhere: readonly string[] },
  ): Promise<Router> {
    await must(["ip", "netns", "add", namespace]);
    await must(["ip", "netns", "exec", namespace, "sh", "-c", settings]);
    const blackholes = options.nowhere.map((cidr) => `route add blackhole ${cidr}`);
    await ip(namespace, ["link set lo up", `address add ${options.ipv6}/128 dev lo`, ...blackholes]);
    await nft(namespace, rules);
    return new Router(namespace);
  }

  /** Lays the cable to a host's namespace, made here, and routes the host's addresses to it. */
  async connect(host: string, link: Link): Promise<void> {
    const { name, mtu, mac, subnet, addresses } = link;
    const inside = link.interface;
    const { ipv4, ipv6 } = addresses;
    const macOption = mac === undefined ? "" : ` address ${mac}`;
    const between = [
      `netns add ${host}`,
      `link add name ${inside} mtu ${mtu}${macOption} netns ${host} type veth peer name ${name} mtu ${mtu} netns ${this.namespace}`,
    ];
    const routerIpv6 =
      link.routerIpv6 === undefined ? [] : [`address add ${link.routerIpv6}/128 dev ${name}`];
    const here = [
      `ntable change name arp_cache dev ${name} proxy_delay 0`,
      `link set ${name} up`,
      `address add ${subnet.ipv4Gateway}/32 dev ${name}`,
      `address add ${ipv6Gateway}/64 dev ${name}`,
      ...routerIpv6,
      `route add ${ipv4}/32 dev ${name}`,
      `route add ${ipv6}/128 dev ${name}`,
    ];
    const there = [
      "link set lo up",
      `link set ${inside} up`,
      `address add ${ipv4}/${subnet.ipv4Length} dev ${inside}`,
      `address add ${ipv6}/128 dev ${inside} nodad`,
      `route add 0.0.0.0/0 via ${subnet.ipv4Gateway} dev ${inside} onlink`,
      `route add ::/0 via ${ipv6Gateway} dev ${inside}`,
    ];
    const sources = [sourceElement("add", name, ipv4), sourceElement("add", name, ipv6)];
    await layCable(this.namespace, host, { between, here, there, sources });
  }

  /** Lays a cable to another router, and routes to each what is the other's. */
  async join(here: RouterEnd, other: Router, there: RouterEnd, mtu: number): Promise<void> {
    await ip(undefined, [
      `link add name ${here.link} mtu ${mtu} netns ${this.namespace} type veth peer name ${there.link} mtu ${mtu} netns ${other.namespace}`,
    ]);
    await Promise.all([
      ip(this.namespace, joinCommands(here, there)),
      ip(other.namespace, joinCommands(there, here)),
    ]);
  }

  /** Cuts the cable: what goes these ways is lost, and nobody is told. Without a way it is whole. */
  async cut(link: string, ways: readonly Way[]): Promise<void> {
    const all = Object.entries(cuts).flatMap(([way, set]) => {
      // Added before it is deleted, because deleting what is not there fails.
      const add = `add element inet router ${set} { ${link} }`;
      const isCut = ways.some((cutWay) => cutWay === way);
      return isCut ? [add] : [add, `delete element inet router ${set} { ${link} }`];
    });
    await nft(this.namespace, all.join("; "));
  }

  /** How many packets came from an address that was not their link's. */
  async refusedSources(): Promise<number> {
    const text = await nft(this.namespace, "list counter inet router refused_sources");
    return Number(/packets (\d+)/.exec(text)?.[1]);
  }
}

function joinCommands({ link, ipv4, ipv6 }: RouterEnd, other: RouterEnd): string[] {
  return [
    `link set ${link} up`,
    `address add ${ipv4}/30 dev ${link}`,
    `address add ${ipv6}/64 dev ${link}`,
    ...other.cidrs.map(
      (cidr) => `route add ${cidr} via ${cidr.includes(":") ? other.ipv6 : other.ipv4} dev ${link}`,
    ),
  ];
}

/** The nftables command that lets a link send from an address or prefix, or no longer. */
export function sourceElement(verb: "add" | "delete", link: string, source: string): string {
  const set = source.includes(":") ? "sources6" : "sources4";
  return `${verb} element inet router ${set} { ${link} . ${source} }`;
}

/**
 * An IPv4 neighbour in the subnet is asked for by ARP and answered by the router, at once, as AWS's network does it. The
 * router's own check of sources is in its rules.
 */
const settings = `set -e; cd /proc/sys/net
  echo 1 > ipv4/ip_forward
  echo 1 > ipv6/conf/all/forwarding
  for each in all default; do
    echo 1 > ipv4/conf/$each/proxy_arp
    echo 0 > ipv4/conf/$each/rp_filter
    echo 0 > ipv4/conf/$each/send_redirects
  done
  echo 0 > ipv6/conf/default/accept_dad`;
