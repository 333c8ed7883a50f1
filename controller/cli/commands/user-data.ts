import type { Argv } from "yargs";
import { parseAddress } from "../../../protocol/address.ts";
import { failed, type Result, success } from "../../../protocol/failures.ts";
import { exitCodes } from "../../../protocol/node/text.ts";
import type { World } from "../../../protocol/node/world.ts";
import { misuse, refuse, withClient } from "../ask.ts";
import { connectionOf, isLoopback } from "../connection.ts";
import { askOptions, lifeOption, name, secretOptions } from "../options.ts";
import type { SecretOptions } from "../secret-output.ts";
import type { PublicAddress, UserData } from "../user-data.ts";

export function userDataOptions(argv: Argv) {
  return lifeOption(secretOptions(askOptions(name(argv, "connector", "The connector"))))
    .option("ip", {
      type: "string",
      requiresArg: true,
      describe: "The instance's primary private IPv4 address [what its metadata service says]",
      coerce: ipv4,
    })
    .option("gateway", {
      type: "string",
      requiresArg: true,
      describe: "Its subnet's router [the first address of its subnet]",
      coerce: ipv4,
    })
    .option("public-address", {
      type: "string",
      requiresArg: true,
      describe: "What devices dial: an IP address, or `metadata` for the public one that EC2 gives it [--ip]",
      coerce: publicAddress,
    })
    .option("url", {
      type: "string",
      requiresArg: true,
      describe: "The controller as instances reach it [--controller]",
    })
    .option("otp-from", {
      type: "string",
      requiresArg: true,
      describe: "No OTP inside: the instance fetches it with its role, from ssm:NAME or secretsmanager:ID",
    })
    .conflicts("otp-from", ["life-minutes", "quiet", "out"])
    .check(({ ip, gateway }) => {
      if ((ip === undefined) === (gateway === undefined)) return true;
      throw new Error("--ip and --gateway are given both, or neither of them");
    })
    .check(({ "otp-from": from }) => {
      if (from === undefined || /^(ssm|secretsmanager):\S+$/.test(String(from))) return true;
      throw new Error(`--otp-from takes ssm:NAME or secretsmanager:ID, not ${from}`);
    })
    .example(
      "$0 user-data prod --ip 172.18.139.4 --gateway 172.18.128.1 --out user-data.yaml",
      "for one instance",
    )
    .example("$0 user-data prod --public-address metadata", "devices are on the internet")
    .example("$0 user-data prod --quiet | base64 -w0", "addresses from the metadata service")
    .example("$0 user-data prod --otp-from 'ssm:/connector/prod/{instance-id}'", "for an Auto Scaling group")
    .epilogue(
      "It holds an OTP, for one instance and once, unless --otp-from says where that is. 16 KB at most.",
    );
}

function ipv4(text: string | undefined): string | undefined {
  if (text === undefined || parseAddress(text)?.family === 4) return text;
  throw new Error(`${text} is not an IPv4 address`);
}

function publicAddress(text: string | undefined): PublicAddress | undefined {
  if (text === undefined) return undefined;
  if (text === "metadata") return { is: "metadata" };
  const parsed = parseAddress(text);
  if (parsed !== undefined) return { is: "this", address: parsed.text };
  throw new Error(`--public-address takes an IP address, or the word metadata, not ${text}`);
}

interface UserDataArguments extends SecretOptions {
  readonly connector: string;
  readonly lifeMinutes?: number | undefined;
  readonly ip?: string | undefined;
  readonly gateway?: string | undefined;
  readonly publicAddress?: PublicAddress | undefined;
  readonly url?: string | undefined;
  readonly otpFrom?: string | undefined;
}

/** Makes an OTP, unless it is to come from elsewhere, and prints the user-data with it. */
export async function userData(world: World, o: UserDataArguments): Promise<number> {
  const site = siteOf(world, o);
  if (!site.ok) return misuse(world, o, site.failure);
  const { userDataText } = await import("../user-data.ts");
  if (o.otpFrom !== undefined) {
    const text = userDataText({ ...site.value, otp: { is: "elsewhere", reference: o.otpFrom } });
    if (!text.ok) return refuse(world, o, text.failure);
    world.print(o.output === "json" ? `${JSON.stringify({ userData: text.value }, null, 2)}\n` : text.value);
    return exitCodes.fine;
  }
  return await withClient(world, o, async (client) => {
    const { createSecret } = await import("../secret-output.ts");
    const params = { connector: o.connector };
    const body = o.lifeMinutes === undefined ? {} : { lifeMinutes: o.lifeMinutes };
    const create = async () => {
      // Nothing is made that could not be used.
      const probe = userDataText({ ...site.value, otp: { is: "here", secret: "0".repeat(128) } });
      if (!probe.ok) return probe;
      const otp = await client.call("otp.create", { params, body });
      if (!otp.ok) return otp;
      const text = userDataText({ ...site.value, otp: { is: "here", secret: otp.value.secret } });
      return text.ok ? success({ ...otp.value, secret: text.value.trimEnd() }) : text;
    };
    return await createSecret(
      world,
      o,
      create,
      ({ id }) => `One-time password ${id} lets one instance into ${o.connector}.`,
    );
  });
}

/** Who instances talk to: as the administrator does, unless told otherwise. */
function siteOf(world: World, o: UserDataArguments): Result<Omit<UserData, "otp">> {
  const connection = connectionOf(o, world);
  if (!connection.ok) return connection;
  const url = o.url ?? connection.value.url.origin;
  const parsed = URL.parse(url);
  if (parsed?.protocol !== "https:" || parsed.pathname !== "/" || isLoopback(parsed)) {
    return failed("admin.no-controller", {
      option: "--url",
      url,
      wanted: "https://HOST[:PORT], as instances reach it",
    });
  }
  const { ip, gateway, publicAddress } = o;
  const address = ip === undefined || gateway === undefined ? undefined : { ip, gateway };
  return success({ controller: parsed.origin, address, publicAddress, ca: connection.value.ca });
}
