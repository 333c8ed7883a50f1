/** What the network layer of one interface of ours should be, and the commands that bring it there. */
export interface NetworkPlan {
  readonly mtu: number;
  /** With their length: `169.254.77.1/32`. */
  readonly addresses: readonly string[];
  readonly routes: readonly Route[];
  /** Of all routes; before any other way to the same destination when absent. */
  readonly metric?: number;
}

export interface Route {
  /** A canonical prefix. */
  readonly to: string;
  /** The address that packets of this host carry when they leave by this route; the kernel's choice when undefined. */
  readonly source: string | undefined;
}

export interface NetworkReading {
  readonly up: boolean;
  readonly mtu: number;
  readonly addresses: readonly string[];
  readonly routes: readonly Route[];
  /** What other interfaces have, which must go on working. */
  readonly others: OtherInterfaces;
}

export interface OtherInterfaces {
  /** Without their length. */
  readonly addresses: readonly InterfaceEntry[];
  /** The next hops of their routes. */
  readonly gateways: readonly InterfaceEntry[];
  readonly routes: readonly (InterfaceEntry & { readonly metric: number })[];
}

export interface InterfaceEntry {
  /** An address, or a canonical prefix. */
  readonly what: string;
  readonly interface: string;
}

/**
 * Lines for `ip -batch` that bring interface `name` from `held` to `wanted`; none when it is as planned. The interface
 * is ours alone: what is on it and not wanted goes. What is new comes first, so that no destination is without a route
 * in between; addresses go last, because the kernel takes the routes that name them along. A route that another interface
 * has stays with it: the kernel would not give it back when ours goes.
 */
export function networkChange(name: string, held: NetworkReading, wanted: NetworkPlan): string[] {
  const heldRoutes = new Set(held.routes.map(routeKey));
  const wantedRoutes = new Set(wanted.routes.map(({ to }) => to));
  const taken = new Set(takenRoutes(held, wanted).map(({ what }) => what));
  return [
    // Nothing but what is routed into it may enter the tunnel: no link-local address, no router solicitations.
    ...(held.up ? [] : [`link set dev ${name} addrgenmode none`]),
    ...(held.mtu === wanted.mtu ? [] : [`link set dev ${name} mtu ${wanted.mtu}`]),
    ...(held.up ? [] : [`link set dev ${name} up`]),
    ...missingIn(held.addresses, wanted.addresses).map((address) => addAddress(name, address)),
    ...wanted.routes
      .filter((route) => !heldRoutes.has(routeKey(route)) && !taken.has(route.to))
      .map((route) => addRoute(name, route, wanted.metric)),
    ...held.routes.filter(({ to }) => !wantedRoutes.has(to)).map(({ to }) => `route del ${to} dev ${name}`),
    ...missingIn(wanted.addresses, held.addresses).map((address) => `address del ${address} dev ${name}`),
  ];
}

/** What is there when the lines of `networkChange` have been carried out. */
export function networkAfter({ others }: NetworkReading, wanted: NetworkPlan): NetworkReading {
  const { mtu, addresses } = wanted;
  const taken = new Set(takenRoutes({ others }, wanted).map(({ what }) => what));
  return { up: true, mtu, addresses, routes: wanted.routes.filter(({ to }) => !taken.has(to)), others };
}

/** Routes of other interfaces that `route replace` would take from them: to the same prefix, with the same metric. */
export function takenRoutes(
  { others }: Pick<NetworkReading, "others">,
  wanted: NetworkPlan,
): readonly InterfaceEntry[] {
  const metricOf = new Map(wanted.routes.map(({ to }) => [to, metricFor(to, wanted.metric)]));
  return others.routes.filter(({ what, metric }) => metricOf.get(what) === metric);
}

/** What a packet grows by at most inside WireGuard: IPv6 40, UDP 8, type and counter 16, tag 16. */
const wireguardBytes = 80;
/** The least that IPv6 takes (RFC 8200, section 5). */
const mtuMin = 1280;
/** What fits the internet's 1500. */
const mtuMax = 1420;

/**
 * The tunnel's MTU over a path of this MTU. Never more than the internet carries, also where the instance's own
 * interface takes 9001: what the device's side takes is not known here.
 */
export function tunnelMtu(pathMtu: number): number {
  return Math.min(mtuMax, Math.max(mtuMin, pathMtu - wireguardBytes));
}

function missingIn(present: readonly string[], wanted: readonly string[]): string[] {
  const has = new Set(present);
  return wanted.filter((entry) => !has.has(entry));
}

function routeKey({ to, source }: Route): string {
  return `${to} ${source ?? ""}`;
}

/** The first there is. By itself IPv6 would give a route the metric 1024, and the network of a cable comes with 256. */
function metricFor(to: string, metric: number | undefined): number {
  return metric ?? (to.includes(":") ? 1 : 0);
}

/** `nodad`: nobody else is on a point-to-point tunnel, and an address on trial cannot be a source. */
function addAddress(name: string, address: string): string {
  return `address replace ${address} dev ${name}${address.includes(":") ? " nodad" : ""}`;
}

function addRoute(name: string, { to, source }: Route, metric: number | undefined): string {
  const from = source === undefined ? "" : ` src ${source}`;
  return `route replace ${to} dev ${name}${from} proto static metric ${metricFor(to, metric)}`;
}
