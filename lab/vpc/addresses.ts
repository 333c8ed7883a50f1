/** Who has which address in the lab's VPC and on its internet, where nothing else says so. Pure. */

export interface Addresses {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** A part of the network whose hosts ask the same router. */
export interface Subnet {
  readonly ipv4Length: number;
  /** The router's. In a VPC it is the first address of the subnet. */
  readonly ipv4Gateway: string;
}

/** The IPv6 router of every subnet: as in a VPC, known by a link-local address. */
export const ipv6Gateway = "fe80::1";

/** Jumbo frames within the VPC: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/network_mtu.html */
export const vpcMtu = 9001;
/** Of the devices' and servers' own links. */
export const internetMtu = 1500;

export const metadataIpv4 = "169.254.169.254";
export const metadataIpv6 = "fd00:ec2::254";

/** Where an instance's WireGuard listens: all that the internet reaches of an instance. */
export const wireguardPort = 51_820;

/** The resolver of a VPC: base address plus two, and fd00:ec2::253 (AWS, "Amazon DNS server"). */
export const vpcResolver: Addresses = { ipv4: "172.18.0.2", ipv6: "fd00:ec2::253" };

/** Of the VPC; what nobody has of it, and what is AWS's own, goes nowhere. */
export const vpcCidrs = [
  "172.18.0.0/16",
  "2600:1f18:2a89:700::/56",
  "169.254.0.0/16",
  "fd00:ec2::/32",
] as const;
export const vpcIpv6Cidr = "2600:1f18:2a89:700::/56";
/** The routers' own: from these they complain about packets. */
export const vpcRouterIpv6 = "2600:1f18:2a89:700::1";
export const internetRouterIpv6 = "2001:db8::1";

export const resolverSubnet = subnetOf("172.18.0.0/24");
export const applicationSubnet = subnetOf("172.18.16.0/24");
export const internetSubnet: Subnet = { ipv4Length: 32, ipv4Gateway: "198.18.0.1" };
/** The instances' public addresses (RFC 5737). */
export const publicIpv4Cidr = "198.51.100.0/24";

export function applicationAddresses(ordinal: number): Addresses {
  check(ordinal, 200);
  return { ipv4: `172.18.16.${ordinal + 9}`, ipv6: `2600:1f18:2a89:710::${(ordinal + 9).toString(16)}` };
}

/** In 198.18.0.0/15, set apart for tests of networks (RFC 2544), and in 2001:db8::/32 (RFC 3849). */
export function deviceAddresses(ordinal: number): Addresses {
  check(ordinal, 60_000);
  const number = ordinal + 256;
  return {
    ipv4: `198.18.${Math.floor(number / 256)}.${number % 256}`,
    ipv6: `2001:db8:1::${number.toString(16)}`,
  };
}

export function serverAddresses(ordinal: number): Addresses {
  check(ordinal, 200);
  return { ipv4: `203.0.113.${ordinal + 9}`, ipv6: `2001:db8:2::${(ordinal + 9).toString(16)}` };
}

/** What the internet gateway turns into the nth instance's private address, one to one. */
export function publicIpv4(ordinal: number): string {
  check(ordinal, 200);
  return `198.51.100.${ordinal + 9}`;
}

/** AWS's router has the first address of the subnet. */
export function subnetOf(cidr: string): Subnet {
  const [first = "", length] = cidr.split("/");
  const gateway = first.replace(/\d+$/, (last) => `${Number(last) + 1}`);
  return { ipv4Length: Number(length), ipv4Gateway: gateway };
}

function check(ordinal: number, max: number): void {
  if (!Number.isInteger(ordinal) || ordinal < 1 || ordinal > max) {
    throw new RangeError(`ordinal ${ordinal}: 1 to ${max}`);
  }
}
