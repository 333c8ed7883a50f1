import type { Result } from "../../../../protocol/failures.ts";
import type { Run } from "../../../../protocol/node/command.ts";
import { dnsmasqVersion } from "../../../adapters/dnsmasq-version.ts";
import { Nft } from "../../../adapters/nft.ts";
import { fail, type Line, ok } from "../line.ts";
import { versionOf } from "./host-command.ts";

/** What each program says its version is, or why it cannot be used. */
export interface ProgramsSeen {
  readonly ip: Result<string>;
  readonly nft: Result<string>;
  readonly conntrack: Result<string>;
  readonly dnsmasq: Result<string>;
}

export async function lookAtPrograms(run: Run): Promise<ProgramsSeen> {
  const [ip, nft, conntrack, dnsmasq] = await Promise.all([
    versionOf(run, ["ip", "-V"], /iproute2-(?:ss)?v?([\d.]+)/),
    // It only asks: no file is written.
    new Nft({ run, folder: "/nonexistent" }).version(),
    versionOf(run, ["conntrack", "--version"], /\bv([\d.]+)/),
    dnsmasqVersion(run),
  ]);
  return { ip, nft, conntrack, dnsmasq };
}

export function judgePrograms({ ip, nft, conntrack, dnsmasq }: ProgramsSeen): Line[] {
  return [
    judge("ip", ip, "Install iproute2 (Debian, Ubuntu) or iproute (Amazon Linux)."),
    judge("nft", nft, "Install nftables 1.0.4 or newer."),
    judge("conntrack", conntrack, "Install conntrack (Debian, Ubuntu) or conntrack-tools (Amazon Linux)."),
    judge(
      "dnsmasq",
      dnsmasq,
      "Install dnsmasq 2.87 or newer, built with nftset: dnsmasq-base (Debian, Ubuntu) or dnsmasq.",
    ),
  ];
}

function judge(name: string, version: Result<string>, action: string): Line {
  if (version.ok) return ok(name, version.value);
  const { error, needed } = version.failure.facts;
  return fail(name, `${error}${needed === undefined ? "" : ` (needed: ${needed})`}`, action);
}
