import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Ec2InstanceId } from "../../protocol/names.ts";

/** Tells one boot of this host from another. Where the kernel does not say, each process counts as a boot of its own. */
export function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return randomUUID();
  }
}

/**
 * The EC2 instance that the firmware of a Nitro instance names as the board's asset tag; undefined on any other host.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html
 */
export function readFirmwareInstance(file = "/sys/class/dmi/id/board_asset_tag"): string | undefined {
  try {
    return Ec2InstanceId.safeParse(readFileSync(file, "utf8").trim()).data;
  } catch {
    return undefined;
  }
}
