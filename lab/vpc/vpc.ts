import { join } from "node:path";
import type { Imds } from "../imds/server.ts";
import {
  type Addresses,
  applicationAddresses,
  applicationSubnet,
  deviceAddresses,
  internetMtu,
  internetRouterIpv6,
  internetSubnet,
  metadataIpv6,
  publicIpv4,
  publicIpv4Cidr,
  resolverSubnet,
  type Subnet,
  serverAddresses,
  subnetOf,
  vpcCidrs,
  vpcIpv6Cidr,
  vpcMtu,
  vpcResolver,
  vpcRouterIpv6,
} from "./addresses.ts";
import {
  type Application,
  type ApplicationKind,
  Dns,
  type DnsOptions,
  startApplication,
} from "./applications.ts";
import { nft } from "./commands.ts";
import { makeHostFolder } from "./enter.ts";
import { Host, type HostOptions } from "./host.ts";
import { VpcInstance } from "./instance.ts";
import { startJanitor } from "./janitor.ts";
import { listNamespaces, namespaceNames, removeLeftovers, removeNamespaces } from "./namespaces.ts";
import { PrefixRoutes } from "./prefix-routes.ts";
import { type Link, Router } from "./router.ts";
import { internetRules, vpcRules } from "./rules.ts";

export interface VpcOptions {
  /** Of this VPC among those of the process: lower case, digits, hyphens. */
  readonly name: string;
  /** For what hosts have of their own, and for logs; made if need be, and left there. */
  readonly folder: string;
  /** Of the way between the VPC and the internet. */
  readonly pathMtu?: number;
  /** How long an assignment of a prefix takes until packets follow it, both ways. */
  readonly routePropagationMs?: number;
  /** HttpPutResponseHopLimit of every instance. */
  readonly metadataHopLimit?: number;
}

/** @throws Error when a namespace cannot be made; `vpcObstacle` says beforehand whether any can. */
export async function createVpc(options: VpcOptions): Promise<Vpc> {
  const { name, pathMtu = 1400, metadataHopLimit = 1 } = options;
  if (!nameShape.test(name)) throw new RangeError(`name ${name}: lower case, digits, hyphens`);
  await removeLeftovers();
  const nameOf = namespaceNames(name);
  const namespaces = [nameOf("router"), nameOf("internet")] as const;
  const existing = await listNamespaces();
  if (namespaces.some((namespace) => existing.includes(namespace)))
    throw new RangeError(`name ${name}: in use`);
  startJanitor(nameOf(""));
  try {
    const [router, internet] = await Promise.all([
      Router.create(namespaces[0], vpcRules(metadataHopLimit), { ipv6: vpcRouterIpv6, nowhere: vpcCidrs }),
      Router.create(namespaces[1], internetRules, { ipv6: internetRouterIpv6, nowhere: [] }),
    ]);
    await router.join(gatewayEnds.vpc, internet, gatewayEnds.internet, pathMtu);
    return new Vpc(options, nameOf, router, internet);
  } catch (error) {
    await removeNamespaces(namespaces);
    throw error;
  }
}

/** A VPC with its instances and applications, and an internet with devices and servers: namespaces and nothing else. */
export class Vpc implements AsyncDisposable {
  /** What the namespace of a host is called. */
  readonly namespaceOf: (host: string) => string;
  readonly #options: VpcOptions;
  readonly #router: Router;
  readonly #internet: Router;
  readonly #routes: PrefixRoutes;
  // BOUNDED: by whoever adds hosts; ordinals end at what the address plan has room for.
  readonly #hosts = new Map<string, Host | undefined>();
  readonly #applications: Application[] = [];
  readonly #ordinals = { i: 0, a: 0, d: 0, s: 0 };

  constructor(options: VpcOptions, nameOf: (part: string) => string, router: Router, internet: Router) {
    this.namespaceOf = nameOf;
    this.#options = options;
    this.#router = router;
    this.#internet = internet;
    this.#routes = new PrefixRoutes(router, options.routePropagationMs ?? 0);
  }

  /** With the addresses, the MAC and the prefixes that its metadata service shows, and a public address. */
  async addInstance(name: string, imds: Imds): Promise<VpcInstance> {
    const [{ mac, localIpv4s, ipv6s, subnetIpv4CidrBlock }] = imds.world.instance.interfaces;
    const [ipv6] = ipv6s;
    if (ipv6 === undefined) throw new RangeError(`${name} has no IPv6 address`);
    const ordinal = this.#next("i");
    const link: Link = {
      name: `i${ordinal}`,
      interface: "ens5",
      mac,
      mtu: vpcMtu,
      subnet: subnetOf(subnetIpv4CidrBlock),
      addresses: { ipv4: localIpv4s[0], ipv6 },
      routerIpv6: metadataIpv6,
    };
    const publicAddress = publicIpv4(ordinal);
    const instance = await this.#add(name, this.#router, link, inVpc, (options) => {
      return new VpcInstance({ ...options, imds, routes: this.#routes, publicIpv4: publicAddress });
    });
    const { ipv4 } = link.addresses;
    const { namespace } = this.#router;
    await nft(
      namespace,
      [
        `add element inet router private_of { ${publicAddress} : ${ipv4} }`,
        `add element inet router public_of { ${ipv4} : ${publicAddress} }`,
        `add element inet router public6 { ${ipv6} }`,
      ].join("; "),
    );
    await instance.serveMetadata(this.#router, link.name);
    await this.#routes.applied();
    return instance;
  }

  /** A user's machine on the internet: it reaches servers, and WireGuard on instances. */
  async addDevice(name: string): Promise<Host> {
    return this.#addToInternet(name, "d", deviceAddresses);
  }

  /** A machine on the internet that instances and devices reach: the controller's. */
  async addServer(name: string): Promise<Host> {
    return this.#addToInternet(name, "s", serverAddresses);
  }

  /** A private application on a host of its own. */
  async addApplication(name: string, what: ApplicationKind): Promise<Application> {
    const host = await this.#addApplicationHost(name);
    return this.#keep(await startApplication(host, what));
  }

  /** The VPC's own resolver, at the second address of the VPC. */
  async addResolver(options: DnsOptions): Promise<Dns> {
    const host = await this.#addApplicationHost("resolver", vpcResolver, resolverSubnet);
    return this.#keep(await Dns.start(host, options));
  }

  /** A further DNS server, among the applications. */
  async addDns(name: string, options: DnsOptions): Promise<Dns> {
    return this.#keep(await Dns.start(await this.#addApplicationHost(name), options));
  }

  /** When packets follow every prefix that was assigned or unassigned. @throws Error when the router refused. */
  async settled(): Promise<void> {
    await this.#routes.settled();
  }

  set routePropagationMs(ms: number) {
    this.#routes.propagationMs = ms;
  }

  /** Packets from addresses that were not their interface's, on either side; they went no further. */
  async refusedSources(): Promise<number> {
    const counts = await Promise.all([this.#router.refusedSources(), this.#internet.refusedSources()]);
    return counts[0] + counts[1];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#applications.map(({ process }) => process.stop(stopWithinMs)));
    await Promise.all([...this.#hosts.values()].map((host) => host?.[Symbol.asyncDispose]()));
    await this.#routes[Symbol.asyncDispose]();
    const hosts = [...this.#hosts.keys()].map(this.namespaceOf);
    await removeNamespaces([...hosts, this.#router.namespace, this.#internet.namespace]);
  }

  #next(kind: "i" | "a" | "d" | "s"): number {
    this.#ordinals[kind] += 1;
    return this.#ordinals[kind];
  }

  #keep<A extends Application>(application: A): A {
    this.#applications.push(application);
    return application;
  }

  #addApplicationHost(name: string, at?: Addresses, subnet: Subnet = applicationSubnet): Promise<Host> {
    const ordinal = this.#next("a");
    const addresses = at ?? applicationAddresses(ordinal);
    const link = { name: `a${ordinal}`, interface: "ens5", mtu: vpcMtu, subnet, addresses };
    return this.#add(name, this.#router, link, inVpc, (options) => new Host(options));
  }

  #addToInternet(name: string, kind: "d" | "s", addressesOf: (ordinal: number) => Addresses): Promise<Host> {
    const ordinal = this.#next(kind);
    const addresses = addressesOf(ordinal);
    const link = {
      name: `${kind}${ordinal}`,
      interface: "eth0",
      mtu: internetMtu,
      subnet: internetSubnet,
      addresses,
    };
    return this.#add(name, this.#internet, link, [], (options) => new Host(options));
  }

  async #add<H extends Host>(
    name: string,
    router: Router,
    link: Link,
    nameServers: readonly string[],
    make: (options: HostOptions) => H,
  ): Promise<H> {
    const isReserved = name === "router" || name === "internet";
    if (!nameShape.test(name) || isReserved || this.#hosts.has(name))
      throw new RangeError(`name ${name}: not free`);
    // From here on the namespace is removed at the end, also when making it fails half way.
    this.#hosts.set(name, undefined);
    const namespace = this.namespaceOf(name);
    const folder = join(this.#options.folder, name);
    makeHostFolder(folder, nameServers);
    await router.connect(namespace, link);
    const host = make({ name, namespace, folder, addresses: link.addresses, router, link: link.name });
    this.#hosts.set(name, host);
    return host;
  }
}

const nameShape = /^[a-z0-9][a-z0-9-]{0,31}$/;
const inVpc = [vpcResolver.ipv4, vpcResolver.ipv6];
const stopWithinMs = 2_000;

/** The internet gateway: it gives instances their public addresses, one to one; users' addresses have none. */
const gatewayEnds = {
  vpc: { link: "internet", ipv4: "100.64.0.1", ipv6: "fe80::1", cidrs: [publicIpv4Cidr, vpcIpv6Cidr] },
  internet: { link: "vpc", ipv4: "100.64.0.2", ipv6: "fe80::2", cidrs: ["0.0.0.0/0", "::/0"] },
} as const;
