import { networkInterfaces } from "node:os";

/** The IPv4 addresses on this host's interfaces, the loopback's left out. */
export function localIpv4Addresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal)
      .map(({ address }) => address),
  );
}
