import { type Addresses, applicationAddresses, vpcResolver } from "./addresses.ts";
import type { Application, Dns } from "./applications.ts";
import type { Vpc } from "./vpc.ts";

/** Private applications as a company has them, each reachable by its name in the company's zone. */
export interface Corporate {
  readonly zone: string;
  /** `web.ZONE`: says which address asked, on 80 and 8080. Every name below `apps.ZONE` is the same. */
  readonly web: Application;
  /** `echo.ZONE`: TCP and UDP, port 7. */
  readonly echo: Application;
  /** `caller.ZONE`: opens connections towards users, port 80. */
  readonly caller: Application;
  /** The VPC's resolver, and a second server with the same zone. */
  readonly dns: readonly [primary: Dns, secondary: Dns];
}

export const corporateZone = "corp.internal";

/** Where they are in a VPC whose first applications they are. */
export const corporateAddresses = {
  web: applicationAddresses(1),
  echo: applicationAddresses(2),
  caller: applicationAddresses(3),
  resolver: vpcResolver,
  "dns-2": applicationAddresses(5),
} as const satisfies Record<string, Addresses>;

export async function startCorporate(vpc: Vpc, zone = corporateZone): Promise<Corporate> {
  const [web, echo, caller] = await Promise.all([
    vpc.addApplication("web", { kind: "web", ports: [80, 8080] }),
    vpc.addApplication("echo", { kind: "echo", port: 7 }),
    vpc.addApplication("caller", { kind: "caller", port: 80 }),
  ]);
  const records = Object.fromEntries(
    [web, echo, caller].map(({ host }) => [`${host.name}.${zone}`, host.addresses]),
  );
  const options = { zone, records, wildcards: { [`apps.${zone}`]: web.host.addresses } };
  const dns = await Promise.all([vpc.addResolver(options), vpc.addDns("dns-2", options)]);
  return { zone, web, echo, caller, dns };
}
