import type { InterfaceEntry, NetworkReading, Route } from "../network.ts";

/** The answers of `ip -json`: https://man7.org/linux/man-pages/man8/ip.8.html */

interface IpLink {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
  }[];
}

interface IpRoute {
  readonly dst: string;
  /** None where it leads nowhere, and says so in `type`, or by several interfaces. */
  readonly dev?: string;
  readonly type?: string;
  readonly protocol?: string;
  readonly prefsrc?: string;
  readonly gateway?: string;
  readonly metric?: number;
}

/**
 * What one interface has, and what the others have; undefined where it is not there. The texts are lists of everything on
 * the host, by family. Throws for what `ip` does not say.
 */
export function networkReading(
  name: string,
  links: string,
  routes: Readonly<Record<4 | 6, string>>,
): NetworkReading | undefined {
  // Older ones print `{}` for what they leave out.
  const all = listOf<IpLink>(links).filter(({ ifname }) => ifname !== undefined);
  const state = all.find(({ ifname }) => ifname === name);
  if (state === undefined) return undefined;
  const [ours, theirs] = split(listOf<IpRoute>(routes[4]), listOf<IpRoute>(routes[6]), name);
  const elsewhere = all.filter(({ ifname, flags }) => ifname !== name && !flags.includes("LOOPBACK"));
  return {
    up: state.flags.includes("UP"),
    mtu: state.mtu,
    addresses: state.addr_info
      .filter(({ scope }) => scope !== "link")
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    // Without what the kernel made itself.
    routes: ours.flatMap((route): Route[] =>
      route.protocol === "kernel" ? [] : [{ to: route.to, source: route.prefsrc }],
    ),
    others: {
      addresses: elsewhere.flatMap(({ ifname, addr_info }) =>
        addr_info.map(({ local }): InterfaceEntry => ({ what: local, interface: ifname })),
      ),
      gateways: theirs.flatMap(({ gateway, dev = "" }) =>
        gateway === undefined ? [] : [{ what: gateway, interface: dev }],
      ),
      routes: theirs.map(({ to, dev, type = "several", metric = 0 }) => {
        return { what: to, interface: dev ?? type, metric };
      }),
    },
  };
}

function split(ipv4: readonly IpRoute[], ipv6: readonly IpRoute[], name: string) {
  const routes = [...ipv4.map(prefixed(4)), ...ipv6.map(prefixed(6))];
  return [routes.filter(({ dev }) => dev === name), routes.filter(({ dev }) => dev !== name)] as const;
}

/** Its destination as a canonical prefix. */
function prefixed(family: 4 | 6): (route: IpRoute) => IpRoute & { readonly to: string } {
  const [everywhere, hostLength] = family === 4 ? ["0.0.0.0/0", 32] : ["::/0", 128];
  return (route) => {
    const { dst } = route;
    const to = dst === "default" ? everywhere : dst.includes("/") ? dst : `${dst}/${hostLength}`;
    return { ...route, to };
  };
}

function listOf<T>(text: string): readonly T[] {
  const value: unknown = JSON.parse(text || "[]");
  if (!Array.isArray(value)) throw new SyntaxError("the answer is no list");
  return value as T[];
}
