import { type NetworkPlan, type NetworkReading, networkChange } from "../../protocol/network.ts";
import { type WireguardPlan, type WireguardReading, wireguardChange } from "../../protocol/wireguard.ts";
import type { TunnelPlan } from "./tunnel.ts";
import { refusedRoutes, withoutRefused } from "./tunnel-routes.ts";

/**
 * What on the interface differs from the plan, in words: `connector0 lacks the route 10.0.1.16/28`. Empty when nothing
 * does. After an apply it is what the kernel refused in silence, or what would have taken the host off its network; later
 * it is what somebody else has changed.
 */
export function tunnelDrift(
  name: string,
  held: { readonly wireguard: WireguardReading; readonly network: NetworkReading },
  wanted: { readonly wireguard: WireguardPlan; readonly network: TunnelPlan["network"] },
): string[] {
  const refused = refusedRoutes(held.network, wanted.network);
  const network = withoutRefused(wanted.network, refused);
  return [
    ...networkWords(name, held.network, network),
    ...wireguardWords(held.wireguard, wanted.wireguard).map((words) => `${name} ${words}`),
    ...refused.map(({ to, why }) => `${to} is not routed: it ${why}`),
  ];
}

function networkWords(name: string, held: NetworkReading, wanted: NetworkPlan): string[] {
  const commands = networkChange(name, held, wanted);
  if (commands.length === 0) return [];
  const routes = { held: held.routes.map(({ to }) => to), wanted: wanted.routes.map(({ to }) => to) };
  const words = [
    ...(held.up ? [] : ["is down"]),
    ...(held.mtu === wanted.mtu ? [] : [`has the MTU ${held.mtu} instead of ${wanted.mtu}`]),
    ...missingIn(held.addresses, wanted.addresses).map((address) => `lacks the address ${address}`),
    ...missingIn(wanted.addresses, held.addresses).map((address) => `has the address ${address} besides`),
    ...missingIn(routes.held, routes.wanted).map((to) => `lacks the route ${to}`),
    ...missingIn(routes.wanted, routes.held).map((to) => `has the route ${to} besides`),
  ];
  // Some other property of a route.
  return words.length === 0
    ? commands.map((command) => `needs ip ${command}`)
    : words.map((word) => `${name} ${word}`);
}

function wireguardWords(held: WireguardReading, wanted: WireguardPlan): string[] {
  const change = wireguardChange(held, wanted);
  const missing = change.set.filter(({ publicKey }) => !held.peers.has(publicKey)).length;
  return [
    ...(change.privateKey === undefined ? [] : ["has another private key"]),
    ...(change.listenPort === undefined ? [] : [`listens on port ${held.listenPort}`]),
    ...(change.forgetsMark ? [`has the fwmark ${held.fwmark}`] : []),
    ...counted(missing, "lacks", "peer"),
    ...counted(change.set.length - missing, "has", "changed peer"),
    ...counted(change.remove.length, "has", "peer", " besides"),
  ];
}

function counted(count: number, verb: string, noun: string, end = ""): string[] {
  return count === 0 ? [] : [`${verb} ${count} ${noun}${count === 1 ? "" : "s"}${end}`];
}

function missingIn(present: readonly string[], wanted: readonly string[]): string[] {
  const has = new Set(present);
  return wanted.filter((entry) => !has.has(entry));
}
