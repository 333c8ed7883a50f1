import { failed, type Result, success } from "../../protocol/failures.ts";
import type { Run } from "../../protocol/node/command.ts";

/** The first that fills nft sets. */
const versionMin = [2, 87] as const;

/** `2.90`, or why this host's dnsmasq cannot be used. */
export async function dnsmasqVersion(run: Run): Promise<Result<string>> {
  const command = "dnsmasq --version";
  const answer = await run(["dnsmasq", "--version"]);
  if (!answer.ok) return answer;
  const [, major = "", minor = ""] = /Dnsmasq version (\d+)\.(\d+)/.exec(answer.value) ?? [];
  if (major === "") return failed("datapath.failing", { command, error: "the answer is not understood" });
  const version = `${major}.${minor}`;
  const isOld =
    Number(major) < versionMin[0] || (Number(major) === versionMin[0] && Number(minor) < versionMin[1]);
  if (isOld) {
    return failed("datapath.failing", {
      command,
      error: `${version} is too old`,
      needed: versionMin.join("."),
    });
  }
  if (/ nftset( |$)/m.test(answer.value)) return success(version);
  return failed("datapath.failing", { command, error: "was built without nftset" });
}
