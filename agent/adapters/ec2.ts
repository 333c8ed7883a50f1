import type { EC2Client } from "@aws-sdk/client-ec2";
import type { Family } from "../../protocol/address.ts";
import { Failure, type FailureCode, type Result, success } from "../../protocol/failures.ts";

/** What EC2 holds of one network interface. */
export interface Ec2Interface {
  readonly prefixes: Readonly<Record<Family, readonly string[]>>;
  /** Single addresses, the primary one too: each takes a slot as a prefix does. */
  readonly addresses: Readonly<Record<Family, number>>;
}

/** How many addresses and prefixes together an interface of an instance type takes, by family. */
export type Slots = Readonly<Record<Family, number>>;

/**
 * The EC2 calls that prefixes need. AWS's client weighs 95 MB and takes a third of a second to load, so only the command
 * that assigns prefixes makes one of these. Nothing here throws. Credentials come from AWS's usual chain: environment, files,
 * the instance's role. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-prefixes.html
 */
export class Ec2 {
  readonly #region: string;
  #loaded: Promise<Loaded> | undefined;

  constructor(region: string) {
    this.#region = region;
  }

  async readInterface(interfaceId: string): Promise<Result<Ec2Interface>> {
    return this.#ask("DescribeNetworkInterfaces", async ({ reading, commands }) => {
      const command = new commands.DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: [interfaceId] });
      const [found] = (await reading.send(command)).NetworkInterfaces ?? [];
      if (found === undefined) throw new Failure("ec2.interface-unknown", { interface: interfaceId });
      return {
        prefixes: {
          4: texts(found.Ipv4Prefixes?.map(({ Ipv4Prefix }) => Ipv4Prefix)),
          6: texts(found.Ipv6Prefixes?.map(({ Ipv6Prefix }) => Ipv6Prefix)),
        },
        addresses: { 4: found.PrivateIpAddresses?.length ?? 0, 6: found.Ipv6Addresses?.length ?? 0 },
      };
    });
  }

  async readSlots(instanceType: string): Promise<Result<Slots>> {
    return this.#ask("DescribeInstanceTypes", async ({ reading, commands }) => {
      // The command's own type has a union of every instance type there is; new ones are not in it.
      const types = [instanceType] as never[];
      const command = new commands.DescribeInstanceTypesCommand({ InstanceTypes: types });
      const [found] = (await reading.send(command)).InstanceTypes ?? [];
      const network = found?.NetworkInfo;
      if (network?.Ipv4AddressesPerInterface === undefined) {
        throw new Failure("aws.refused", { action: "DescribeInstanceTypes", says: "nothing of addresses" });
      }
      return { 4: network.Ipv4AddressesPerInterface, 6: network.Ipv6AddressesPerInterface ?? 0 };
    });
  }

  /** So many more, which EC2 chooses in the subnet. Never asked twice by itself: EC2 would assign twice. */
  async assign(interfaceId: string, family: Family, count: number): Promise<Result<readonly string[]>> {
    const action = family === 4 ? "AssignPrivateIpAddresses" : "AssignIpv6Addresses";
    return this.#ask(action, async ({ writing, commands }) => {
      const target = { NetworkInterfaceId: interfaceId };
      if (family === 4) {
        const command = new commands.AssignPrivateIpAddressesCommand({ ...target, Ipv4PrefixCount: count });
        return texts((await writing.send(command)).AssignedIpv4Prefixes?.map(({ Ipv4Prefix }) => Ipv4Prefix));
      }
      const command = new commands.AssignIpv6AddressesCommand({ ...target, Ipv6PrefixCount: count });
      return texts((await writing.send(command)).AssignedIpv6Prefixes);
    });
  }

  async #ask<T>(action: string, run: (loaded: Loaded) => Promise<T>): Promise<Result<T>> {
    try {
      this.#loaded ??= load(this.#region);
      return success(await run(await this.#loaded));
    } catch (error) {
      return { ok: false, failure: error instanceof Failure ? error : failureOf(error, action) };
    }
  }
}

interface Loaded {
  readonly commands: typeof import("@aws-sdk/client-ec2");
  /** Asks again by itself. */
  readonly reading: EC2Client;
  readonly writing: EC2Client;
}

async function load(region: string): Promise<Loaded> {
  const commands = await import("@aws-sdk/client-ec2");
  const client = (maxAttempts: number) =>
    new commands.EC2Client({
      region,
      maxAttempts,
      requestHandler: { connectionTimeout: 3_000, requestTimeout: 15_000, throwOnRequestTimeout: true },
    });
  return { commands, reading: client(3), writing: client(1) };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
const codes: Readonly<Record<string, FailureCode>> = {
  CredentialsProviderError: "aws.credentials",
  AuthFailure: "aws.credentials",
  ExpiredToken: "aws.credentials",
  RequestExpired: "aws.credentials",
  UnauthorizedOperation: "aws.unauthorised",
  RequestLimitExceeded: "aws.throttled",
  "InvalidNetworkInterfaceID.NotFound": "ec2.interface-unknown",
  PrivateIpAddressLimitExceeded: "ec2.interface-full",
  InsufficientCidrBlocks: "ec2.subnet-full",
  InsufficientFreeAddressesInSubnet: "ec2.subnet-full",
};

function failureOf(error: unknown, action: string): Failure {
  const { name = "", message = "", $metadata } = error as Partial<SdkError>;
  const code = codes[name];
  const says = message.replace(/\s+/g, " ").slice(0, 200);
  if (code !== undefined) return new Failure(code, { action: `ec2:${action}`, says }, error);
  // An error that EC2 itself gave has the status it came with.
  if ($metadata?.httpStatusCode === undefined) {
    const reason = (error as { code?: unknown }).code;
    return new Failure("aws.unreachable", { action: `ec2:${action}`, error: String(reason ?? name) }, error);
  }
  return new Failure("aws.refused", { action: `ec2:${action}`, code: name, says }, error);
}

interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly $metadata: { readonly httpStatusCode?: number };
}

function texts(all: readonly (string | undefined)[] | undefined): readonly string[] {
  return (all ?? []).filter((text) => text !== undefined);
}
