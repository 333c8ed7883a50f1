import type { FailureFacts } from "../../protocol/failures.ts";
import { type NetworkReading, networkChange } from "../../protocol/network.ts";
import { type WireguardPlan, type WireguardReading, wireguardChange } from "../../protocol/wireguard.ts";
import type { TunnelPlan } from "./tunnel.ts";
import { refusedRoutes, withoutRefused } from "./tunnel-routes.ts";

/**
 * What on the interface differs from the plan, by name and for a person; undefined when nothing does. After an apply it
 * is what the kernel refused in silence, or what would have taken the host off its network; later it is what somebody else
 * has changed.
 */
export function tunnelDrift(
  name: string,
  held: { readonly wireguard: WireguardReading; readonly network: NetworkReading },
  wanted: { readonly wireguard: WireguardPlan; readonly network: TunnelPlan["network"] },
): FailureFacts | undefined {
  const change = wireguardChange(held.wireguard, wanted.wireguard);
  const missing = change.set.filter(({ publicKey }) => !held.wireguard.peers.has(publicKey)).length;
  const changed = change.set.length - missing;
  const refused = refusedRoutes(held.network, wanted.network);
  const [first, ...more] = networkChange(name, held.network, withoutRefused(wanted.network, refused));
  const facts = {
    ...(change.privateKey === undefined ? {} : { "private key": "another" }),
    ...(change.listenPort === undefined ? {} : { "listen port": held.wireguard.listenPort }),
    ...(change.forgetsMark ? { fwmark: held.wireguard.fwmark } : {}),
    ...(missing === 0 ? {} : { "peers missing": missing }),
    ...(changed === 0 ? {} : { "peers changed": changed }),
    ...(change.remove.length === 0 ? {} : { "peers added": change.remove.length }),
    ...Object.fromEntries(refused.slice(0, refusedShownMax).map(({ to, why }) => [`not routed: ${to}`, why])),
    ...(first === undefined ? {} : { needs: `ip ${first}` }),
    ...(more.length === 0 ? {} : { "and further commands": more.length }),
  };
  return Object.keys(facts).length === 0 ? undefined : { interface: name, ...facts };
}

/** The text is for a person. */
const refusedShownMax = 3;
