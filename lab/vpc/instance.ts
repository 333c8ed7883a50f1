import { connect } from "node:net";
import type { Instance } from "../imds/instance.ts";
import type { Imds } from "../imds/server.ts";
import { nft } from "./commands.ts";
import { Host, type HostOptions } from "./host.ts";
import type { PrefixOwner } from "./ownership.ts";
import type { PrefixRoutes } from "./prefix-routes.ts";
import { relay } from "./relay.ts";
import type { Router } from "./router.ts";
import { listenInside } from "./sockets.ts";

export interface VpcInstanceOptions extends HostOptions {
  readonly imds: Imds;
  readonly routes: PrefixRoutes;
  readonly publicIpv4: string;
}

/** An EC2 instance with one network interface. Its metadata service answers on it, and nowhere else. */
export class VpcInstance extends Host {
  readonly ec2: Instance;
  /** What devices dial; the internet gateway makes the private address of it. */
  readonly publicIpv4: string;
  /** Assigning and unassigning through it changes metadata and routes, each after its own propagation. */
  readonly imds: Imds;
  #metadata: Disposable | undefined;

  constructor(options: VpcInstanceOptions) {
    super(options);
    const { imds, routes, link } = options;
    this.ec2 = imds.world.instance;
    this.publicIpv4 = options.publicIpv4;
    const [{ interfaceId }] = this.ec2.interfaces;
    this.imds = routing(imds, routes, { interfaceId, link, ...options.addresses });
  }

  /** Lets the router answer this link's requests for metadata from the instance's own service. */
  async serveMetadata(router: Router, link: string): Promise<void> {
    const inside = await listenInside(["ip", "netns", "exec", router.namespace, process.execPath]);
    const address = inside.address();
    if (address === null || typeof address === "string") throw new Error("the namespace gave no TCP socket");
    const { hostname: host, port } = new URL(this.imds.url);
    this.#metadata = relay(inside, () => connect({ host, port: Number(port), allowHalfOpen: true }));
    await nft(router.namespace, `add element inet router metadata { ${link} : ${address.port} }`);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#metadata?.[Symbol.dispose]();
    await super[Symbol.asyncDispose]();
  }
}

/** The same service, by which prefixes are also routed; those that it has now are. */
function routing(imds: Imds, routes: PrefixRoutes, owner: PrefixOwner): Imds {
  const [{ mac: ownMac }] = imds.world.instance.interfaces;
  const { ipv4, ipv6 } = imds.world.assignedPrefixes(ownMac);
  for (const cidr of [...ipv4, ...ipv6]) routes.assign(cidr, owner, 0);
  return {
    ...imds,
    assignPrefix: (cidr, mac = ownMac) => {
      const holder = routes.ownerOf(cidr);
      if (holder !== undefined) throw new RangeError(`${cidr}: assigned to ${holder.interfaceId}`);
      imds.assignPrefix(cidr, mac);
      if (mac === ownMac) routes.assign(cidr, owner);
    },
    unassignPrefix: (cidr, mac = ownMac) => {
      imds.unassignPrefix(cidr, mac);
      if (mac === ownMac) routes.unassign(cidr, owner);
    },
  };
}
