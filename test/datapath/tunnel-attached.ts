import type { Attached } from "../../device/core/attachment.ts";
import { containsAddress, parsePrefix } from "../../protocol/address.ts";
import { keyOf } from "./wireguard-model.ts";

/** An attachment to instance number `n`, as a controller would say it. */
export function attachedTo(n: number, more: Partial<Attached> = {}): Attached {
  return {
    state: "attached",
    session: "00000000-0000-4000-8000-000000000001",
    epoch: n,
    instance: `aws-us-vir-con-0000${n}`,
    endpoint: `192.0.2.${n}:51820`,
    wireguardKey: keyOf(n),
    ipv4: `10.0.${n}.17`,
    ipv6: `2001:db8:${n}::11`,
    dns: { primary: "10.99.0.2" },
    mtu: 1420,
    routes: ["10.99.0.0/16", "fd99::/64"],
    domains: ["app.example.internal", "*.example.internal"],
    ...more,
  };
}

export const end = { ipv4: "100.64.0.1", ipv6: "fd01::1" } as const;

/** Whether an address is in one of the prefixes. */
export function covers(prefixes: readonly string[], address: string): boolean {
  return prefixes.some((text) => {
    const prefix = parsePrefix(text);
    return prefix.ok && containsAddress(prefix.value, address);
  });
}
