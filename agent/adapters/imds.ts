import {
  awsLengthProblem,
  type Family,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../protocol/address.ts";
import { Failure, failed, type Result, success } from "../../protocol/failures.ts";
import { Ec2InstanceId } from "../../protocol/names.ts";
import type { Clock } from "../../protocol/time.ts";
import type { InterfaceFacts, PrefixReading } from "../core/ports.ts";
import { ImdsClient } from "./imds-client.ts";

/** The instance identity document, byte for byte, with AWS's signature of it. */
export interface IdentityDocument {
  readonly ec2InstanceId: string;
  readonly document: string;
  readonly documentSignature: string;
}

const metaData = "latest/meta-data";
const macs = `${metaData}/network/interfaces/macs`;

/** What the agent reads from the instance metadata service. Nothing here throws; a doubt is a failure, never "none". */
export class Imds {
  readonly #client: ImdsClient;
  readonly #ip: string | undefined;

  /** `ip` picks the interface that has it; without it, or where none has, the primary one (device number 0). */
  constructor(options: {
    env: Readonly<Record<string, string | undefined>>;
    clock: Clock;
    ip?: string | undefined;
  }) {
    const endpoint = options.env.AWS_EC2_METADATA_SERVICE_ENDPOINT || "http://169.254.169.254";
    this.#client = new ImdsClient({ endpoint, clock: options.clock });
    this.#ip = options.ip;
  }

  /** A path below `/latest/`, like `meta-data/spot/instance-action`; undefined where there is no such key. */
  get(path: string): Promise<Result<string | undefined>> {
    return this.#client.get(`latest/${path}`);
  }

  /** The prefixes of the interface now. */
  async readPrefixes(): Promise<PrefixReading> {
    try {
      const mac = await this.#pickMac();
      const keys = await this.#keys(mac);
      const [ipv4, ipv6, facts] = await Promise.all([
        this.#prefixes(mac, 4, keys),
        this.#prefixes(mac, 6, keys),
        this.#facts(mac, keys),
      ]);
      return { is: "known", ipv4, ipv6, interface: facts };
    } catch (error) {
      const { code, facts } = asFailure(error);
      return { is: "unknown", why: code, facts };
    }
  }

  async readInterface(): Promise<Result<InterfaceFacts>> {
    try {
      const mac = await this.#pickMac();
      const keys = await this.#keys(mac);
      return success(await this.#facts(mac, keys));
    } catch (error) {
      return { ok: false, failure: asFailure(error) };
    }
  }

  async readIdentityDocument(): Promise<Result<IdentityDocument>> {
    try {
      const path = "latest/dynamic/instance-identity";
      const document = await this.#must(`${path}/document`);
      const documentSignature = await this.#must(`${path}/signature`);
      const ec2InstanceId = instanceIdOf(document);
      const isBase64 = /^[A-Za-z0-9+/=\s]{16,2048}$/.test(documentSignature);
      if (ec2InstanceId === undefined || !isBase64 || document.length > 8192) {
        return failed("imds.malformed", { path, answer: "not a signed identity document" });
      }
      return success({ ec2InstanceId, document, documentSignature });
    } catch (error) {
      return { ok: false, failure: asFailure(error) };
    }
  }

  async #pickMac(): Promise<string> {
    const listed = (await this.#must(`${macs}/`)).split("\n").map((line) => line.replace(/\/$/, ""));
    const isMac = (text: string) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text);
    if (!listed.every(isMac)) throw malformed(`${macs}/`, "not a list of interfaces");
    const [only, ...others] = listed;
    if (only !== undefined && others.length === 0) return only;
    let primary: string | undefined;
    for (const mac of listed.slice(0, interfacesMax)) {
      // An interface may be without IPv4.
      const addresses = ((await this.#may(`${macs}/${mac}/local-ipv4s`)) ?? "").split("\n");
      if (this.#ip !== undefined && addresses.includes(this.#ip)) return mac;
      if ((await this.#must(`${macs}/${mac}/device-number`)) === "0") primary = mac;
    }
    if (primary === undefined) throw malformed(`${macs}/`, "no interface with device number 0");
    return primary;
  }

  /**
   * What the interface's directory lists. It tells "none" from "not known": a key that is not in it is no prefix, a
   * listing that fails or is not one is no news.
   */
  async #keys(mac: string): Promise<ReadonlySet<string>> {
    const path = `${macs}/${mac}/`;
    const keys = new Set((await this.#must(path)).split("\n"));
    if (!["interface-id", "local-ipv4s", "subnet-id", "vpc-id"].every((key) => keys.has(key))) {
      throw malformed(path, "not an interface's directory");
    }
    return keys;
  }

  async #facts(mac: string, keys: ReadonlySet<string>): Promise<InterfaceFacts> {
    const key = (name: string) => this.#must(`${macs}/${mac}/${name}`);
    const list = async (name: string) => (keys.has(name) ? (await key(name)).split("\n") : []);
    const [interfaceId, addresses, vpcId, subnetId, subnetsIpv4, subnetIpv6, vpcCidrs] = await Promise.all([
      key("interface-id"),
      key("local-ipv4s"),
      key("vpc-id"),
      key("subnet-id"),
      list("subnet-ipv4-cidr-block"),
      list("subnet-ipv6-cidr-blocks"),
      this.#vpcCidrs(mac, keys),
    ]);
    const primaryIpv4 = addresses.split("\n")[0] ?? "";
    const isRight =
      /^eni-[0-9a-f]+$/.test(interfaceId) &&
      /^vpc-[0-9a-f]+$/.test(vpcId) &&
      /^subnet-[0-9a-f]+$/.test(subnetId) &&
      parseAddress(primaryIpv4)?.family === 4 &&
      [...subnetsIpv4, ...subnetIpv6].every((text) => parsePrefix(text).ok);
    if (!isRight) throw malformed(`${macs}/${mac}/`, "not an interface");
    return {
      mac,
      interfaceId,
      primaryIpv4,
      vpcId,
      subnetId,
      subnetIpv4: subnetsIpv4[0],
      subnetIpv6,
      vpcCidrs,
    };
  }

  /** Every VPC has an IPv4 block, so a directory without that key says nothing of them; IPv6 blocks there may be none. */
  async #vpcCidrs(mac: string, keys: ReadonlySet<string>): Promise<string[] | undefined> {
    if (!keys.has("vpc-ipv4-cidr-blocks")) return undefined;
    const of = async (family: Family) => {
      const name = `vpc-ipv${family}-cidr-blocks`;
      return keys.has(name) ? await this.#cidrs(`${macs}/${mac}/${name}`, family) : [];
    };
    const [ipv4, ipv6] = await Promise.all([of(4), of(6)]);
    return [...ipv4, ...ipv6].map(({ text }) => text);
  }

  async #prefixes(mac: string, family: Family, keys: ReadonlySet<string>): Promise<string[]> {
    const name = `ipv${family}-prefix`;
    if (!keys.has(name)) return [];
    const path = `${macs}/${mac}/${name}`;
    const prefixes = await this.#cidrs(path, family);
    const wrong = prefixes.find((prefix) => awsLengthProblem(prefix) !== undefined);
    if (wrong !== undefined) throw malformed(path, `${JSON.stringify(wrong.text)} is no prefix of AWS`);
    return prefixes.map(({ text }) => text);
  }

  /** One CIDR a line; what is said twice is one. */
  async #cidrs(path: string, family: Family): Promise<Prefix[]> {
    const lines = (await this.#must(path)).split("\n");
    if (lines.length > linesMax) throw malformed(path, `${lines.length} lines`);
    const prefixes = lines.map((line) => {
      const prefix = parsePrefix(line);
      const isRight = prefix.ok && prefix.value.family === family;
      if (!isRight) throw malformed(path, `${JSON.stringify(line.slice(0, 64))} is no prefix of AWS`);
      return prefix.value;
    });
    return [...new Map(prefixes.map((prefix) => [prefix.text, prefix])).values()];
  }

  /** A key that must be there: listed, or part of every interface. */
  async #must(path: string): Promise<string> {
    const text = await this.#may(path);
    if (text === undefined) throw new Failure("imds.failing", { path, status: 404 });
    return text;
  }

  /** Undefined where there is no such key, twice: it may have come or gone just now. */
  async #may(path: string): Promise<string | undefined> {
    const first = await this.#client.get(path);
    const answer = first.ok && first.value === undefined ? await this.#client.get(path) : first;
    if (!answer.ok) throw answer.failure;
    return answer.value?.trim();
  }
}

/** The largest instance types have 15 network interfaces of a network card, and a few cards. */
const interfacesMax = 64;
/**
 * As many as the protocol's `prefixes` entry takes. The largest instance types have 49 prefixes, a VPC up to 50 blocks of
 * each family: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
 */
const linesMax = 128;

function malformed(path: string, answer: string): Failure {
  return new Failure("imds.malformed", { path, answer });
}

function asFailure(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure("internal", { where: "reading metadata" }, error);
}

function instanceIdOf(document: string): string | undefined {
  try {
    return Ec2InstanceId.safeParse((JSON.parse(document) as { instanceId?: unknown } | null)?.instanceId)
      .data;
  } catch {
    return undefined;
  }
}
