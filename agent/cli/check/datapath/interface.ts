import { type Result, success } from "../../../../protocol/failures.ts";
import type { Run } from "../../../../protocol/node/command.ts";
import { internetPathMtu } from "../../../../protocol/tunnel.ts";
import { type Line, ok, skip, warn } from "../line.ts";

export interface Link {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly string[];
}

/** The host's interfaces; a failure when `ip` cannot be asked. */
export async function readLinks(run: Run): Promise<Result<readonly Link[]>> {
  const answer = await run(["ip", "-json", "address", "show"]);
  if (!answer.ok) return answer;
  const links = JSON.parse(answer.value || "[]") as IpLink[];
  return success(
    links.map(({ ifname, address, mtu, addr_info }) => ({
      name: ifname,
      mac: address ?? "",
      mtu,
      addresses: addr_info.map(({ local }) => local),
    })),
  );
}

/** The one the prefixes are assigned to: as the metadata service names it, or else by the configured address. */
export function findInterface(
  links: readonly Link[],
  known: { readonly mac: string | undefined; readonly ip: string | undefined },
): Link | undefined {
  return (
    links.find(({ mac }) => mac !== "" && mac === known.mac) ??
    links.find(({ addresses }) => known.ip !== undefined && addresses.includes(known.ip))
  );
}

export function judgeInterface(link: Link | undefined): Line {
  const name = "interface";
  if (link === undefined) {
    return skip(name, "none has the MAC of the metadata service, or the configured address");
  }
  if (link.mtu >= internetPathMtu) return ok(name, `${link.name}, MTU ${link.mtu}`);
  return warn(
    name,
    `${link.name} has MTU ${link.mtu}: devices send WireGuard packets of up to ${internetPathMtu} bytes`,
    `ip link set ${link.name} mtu 9001, and the same in the network configuration: AWS carries 9001 in a VPC, 1500 to the internet.`,
  );
}

interface IpLink {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu: number;
  readonly addr_info: readonly { readonly local: string }[];
}
