/**
 * The instance's own end of every tunnel: where it answers echoes and resolves names. The same at every instance, so that
 * a device that moves keeps its routes and its name servers. IPv4 from the link-local block (RFC 3927), which no VPC can
 * have; IPv6 a unique local address of a random prefix (RFC 4193).
 */
export const instanceEnd = { ipv4: "169.254.77.53", ipv6: "fd5b:9a3e:71c4::53" } as const;

/** What is taken for the way between devices and instances, of which nobody knows better: the internet's. */
export const internetPathMtu = 1500;

/** The WireGuard interface of an instance. */
export const instanceInterface = "connector0";
