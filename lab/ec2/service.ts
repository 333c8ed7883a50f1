// EC2's Query API without the network: a form and the time in, XML out. Only what prefixes need.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
import { randomUUID } from "node:crypto";
import type { Family } from "../../protocol/address.ts";
import type { InstanceWorld } from "../imds/world.ts";
import { Ec2Error } from "./errors.ts";
import { type OwnedInterface, Subnets, slotsOf, type Wish } from "./subnet.ts";
import { element, errorDocument, items, type Xml, xmlDocument } from "./xml.ts";

export const ec2Actions = [
  "AssignPrivateIpAddresses",
  "AssignIpv6Addresses",
  "UnassignPrivateIpAddresses",
  "UnassignIpv6Addresses",
  "DescribeNetworkInterfaces",
  "DescribeInstanceTypes",
] as const;
export type Ec2Action = (typeof ec2Actions)[number];

export interface Ec2Request {
  readonly form: URLSearchParams;
  /** The whole `Authorization` header. */
  readonly authorization: string | undefined;
}

export interface Ec2Reply {
  readonly status: number;
  readonly body: string;
}

/** What an access key may do: the lab's identity and access management. */
export type Policy = ReadonlyMap<string, ReadonlySet<string>>;

export class Ec2Service {
  readonly #subnets: Subnets;
  readonly #region: string;
  /** Actions by access key id; a test takes some away. */
  policy: Policy;
  /** Answers to come before the real ones, by action. BOUNDED: what a test puts there. */
  readonly refusals: { readonly action: Ec2Action; readonly error: Ec2Error }[] = [];

  constructor(worlds: readonly InstanceWorld[], region: string, policy: Policy) {
    this.#subnets = new Subnets(worlds);
    this.#region = region;
    this.policy = policy;
  }

  answer({ form, authorization }: Ec2Request, nowMs: number): Ec2Reply {
    const requestId = randomUUID();
    try {
      const action = this.#authorised(form.get("Action") ?? "", authorization);
      const forced = this.refusals.findIndex((refusal) => refusal.action === action);
      const [refusal] = forced < 0 ? [] : this.refusals.splice(forced, 1);
      if (refusal !== undefined) throw refusal.error;
      const content = this.#act(action, form, nowMs);
      return {
        status: 200,
        body: xmlDocument(`${action}Response`, [element("requestId", requestId), ...content]),
      };
    } catch (error) {
      if (!(error instanceof Ec2Error)) throw error;
      return { status: error.status, body: errorDocument(error, requestId) };
    }
  }

  /** Whether a signature is right is not checked, only whose it says to be and for what. */
  #authorised(name: string, authorization: string | undefined): Ec2Action {
    const scope = /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/\d{8}\/([a-z0-9-]+)\/ec2\/aws4_request, /.exec(
      authorization ?? "",
    );
    const [, key = "", region = ""] = scope ?? [];
    const allowed = this.policy.get(key);
    if (allowed === undefined || region !== this.#region) {
      throw new Ec2Error("AuthFailure", "AWS was not able to validate the provided access credentials", 401);
    }
    const action = ec2Actions.find((known) => known === name);
    if (action === undefined) {
      throw new Ec2Error("InvalidAction", `The action ${name} is not valid for this web service.`);
    }
    if (!allowed.has(`ec2:${action}`)) {
      throw new Ec2Error(
        "UnauthorizedOperation",
        `You are not authorized to perform this operation. No identity-based policy allows the ec2:${action} action.`,
        403,
      );
    }
    return action;
  }

  #act(action: Ec2Action, form: URLSearchParams, nowMs: number): Xml[] {
    switch (action) {
      case "AssignPrivateIpAddresses": {
        const owned = this.#interfaceOf(form);
        const given = this.#subnets.assign(owned, 4, wishOf(form, 4), nowMs);
        const prefixes = given.map((text) => [element("ipv4Prefix", text)]);
        return [...interfaceId(owned), items("assignedIpv4PrefixSet", prefixes), element("return", "true")];
      }
      case "AssignIpv6Addresses": {
        const owned = this.#interfaceOf(form);
        const given = this.#subnets.assign(owned, 6, wishOf(form, 6), nowMs);
        return [...interfaceId(owned), items("assignedIpv6PrefixSet", given)];
      }
      case "UnassignPrivateIpAddresses":
        this.#subnets.unassign(this.#interfaceOf(form), listed(form, "Ipv4Prefix"), nowMs);
        return [element("return", "true")];
      case "UnassignIpv6Addresses": {
        const owned = this.#interfaceOf(form);
        this.#subnets.unassign(owned, listed(form, "Ipv6Prefix"), nowMs);
        return interfaceId(owned);
      }
      case "DescribeNetworkInterfaces": {
        const found = listed(form, "NetworkInterfaceId").map((id) => this.#subnets.interface(id));
        dryRun(form);
        return [items("networkInterfaceSet", found.map(described))];
      }
      case "DescribeInstanceTypes":
        dryRun(form);
        return [items("instanceTypeSet", listed(form, "InstanceType").map(typeDescribed))];
    }
  }

  #interfaceOf(form: URLSearchParams): OwnedInterface {
    const id = form.get("NetworkInterfaceId");
    if (id !== null) return this.#subnets.interface(id);
    throw new Ec2Error("MissingParameter", "The request must contain the parameter networkInterfaceId");
  }
}

function wishOf(form: URLSearchParams, family: Family): Wish {
  const prefixes = listed(form, `Ipv${family}Prefix`);
  const count = form.get(`Ipv${family}PrefixCount`);
  if (prefixes.length > 0 === (count !== null)) {
    throw new Ec2Error(
      "InvalidParameterCombination",
      `Give either Ipv${family}Prefix or Ipv${family}PrefixCount.`,
    );
  }
  return count === null ? { prefixes } : { count: Number(count) };
}

/** `Name.1`, `Name.2`, … */
function listed(form: URLSearchParams, name: string): string[] {
  return [...form].filter(([key]) => key.startsWith(`${name}.`)).map(([, value]) => value);
}

/** A permitted dry run is an error, too. */
function dryRun(form: URLSearchParams): void {
  if (form.get("DryRun") !== "true") return;
  throw new Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
}

function interfaceId({ iface }: OwnedInterface): Xml[] {
  return [element("networkInterfaceId", iface.interfaceId)];
}

function described({ world, iface }: OwnedInterface): Xml[] {
  const { ipv4, ipv6 } = world.assignedPrefixes(iface.mac);
  return [
    element("networkInterfaceId", iface.interfaceId),
    element("subnetId", iface.subnetId),
    element("vpcId", world.instance.vpcId),
    element("macAddress", iface.mac),
    element("sourceDestCheck", "true"),
    items(
      "privateIpAddressesSet",
      iface.localIpv4s.map((text) => [element("privateIpAddress", text)]),
    ),
    items(
      "ipv6AddressesSet",
      iface.ipv6s.map((text) => [element("ipv6Address", text)]),
    ),
    items(
      "ipv4PrefixSet",
      ipv4.map((text) => [element("ipv4Prefix", text)]),
    ),
    items(
      "ipv6PrefixSet",
      ipv6.map((text) => [element("ipv6Prefix", text)]),
    ),
  ];
}

function typeDescribed(instanceType: string): Xml[] {
  const slots = (family: Family) => String(slotsOf(instanceType, family));
  return [
    element("instanceType", instanceType),
    element("networkInfo", [
      element("ipv4AddressesPerInterface", slots(4)),
      element("ipv6AddressesPerInterface", slots(6)),
    ]),
  ];
}
