import type { FailureFacts } from "../../protocol/failures.ts";
import type { NetworkReading } from "../../protocol/network.ts";
import { networkChange } from "../../protocol/network.ts";
import { type WireguardPlan, type WireguardReading, wireguardChange } from "../../protocol/wireguard.ts";
import type { TunnelPlan } from "./tunnel.ts";

/**
 * What on the interface differs from the plan, by name and for a person; undefined when nothing does. After an apply it
 * is what the kernel refused in silence, later it is what somebody else has changed.
 */
export function tunnelDrift(
  name: string,
  held: { readonly wireguard: WireguardReading; readonly network: NetworkReading },
  wanted: { readonly wireguard: WireguardPlan; readonly network: TunnelPlan["network"] },
): FailureFacts | undefined {
  const { privateKey, listenPort, set, remove } = wireguardChange(held.wireguard, wanted.wireguard);
  const missing = set.filter(({ publicKey }) => !held.wireguard.peers.has(publicKey)).length;
  const [first, ...more] = networkChange(name, held.network, wanted.network);
  const facts = {
    ...(privateKey === undefined ? {} : { "private key": "another" }),
    ...(listenPort === undefined ? {} : { "listen port": held.wireguard.listenPort }),
    ...(missing === 0 ? {} : { "peers missing": missing }),
    ...(set.length === missing ? {} : { "peers changed": set.length - missing }),
    ...(remove.length === 0 ? {} : { "peers added": remove.length }),
    ...(first === undefined ? {} : { needs: `ip ${first}` }),
    ...(more.length === 0 ? {} : { "and further commands": more.length }),
  };
  return Object.keys(facts).length === 0 ? undefined : { interface: name, ...facts };
}
