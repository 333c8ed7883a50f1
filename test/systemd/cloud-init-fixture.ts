import { vpcResolver } from "../../lab/vpc/addresses.ts";
import { until } from "../support/until.ts";
import type { BootedHost } from "./booted-host.ts";

/**
 * What the machine image has, from /packages: the agent's package and cloud-init's settings. And what a container lacks: it has
 * no firmware to tell that it is EC2, so cloud-init, and nobody else, sees the UUID of a Xen hypervisor, which is what it looks at
 * first and what asks for IMDSv2 as on Nitro. The lab has configured the interface, and its VPC has no DHCP: half a minute
 * is what cloud-init's client would wait for an answer. There is no partition to grow and no program that makes SSH's keys.
 */
export const likeTheImage = `rm /usr/sbin/dhcpcd
echo 'nameserver ${vpcResolver.ipv4}' >/etc/resolv.conf
dpkg --install /packages/connector.deb
cp /packages/90-connector.cfg /etc/cloud/cloud.cfg.d/
cat >/etc/cloud/cloud.cfg.d/95-container.cfg <<'END'
network: {config: disabled}
growpart: {mode: "off"}
ssh_genkeytypes: []
END
mkdir -p /etc/hypervisor /etc/systemd/system/cloud-init-main.service.d
echo ec2e1916-9099-7caf-fd21-012345abcdef >/etc/hypervisor/uuid
cat >/etc/systemd/system/cloud-init-main.service.d/ec2.conf <<'END'
[Service]
TemporaryFileSystem=/sys
BindReadOnlyPaths=/sys/block /sys/bus /sys/class /sys/dev /sys/devices /sys/fs /sys/kernel /sys/module
BindReadOnlyPaths=/etc/hypervisor:/sys/hypervisor
END
`;

/** A shell's command line that leaves user-data where the NoCloud data source finds it: as another instance's, if the id is. */
export function seed(userData: string, instanceId: string): string {
  return `mkdir -p /var/lib/cloud/seed/nocloud
cd /var/lib/cloud/seed/nocloud
echo 'instance-id: ${instanceId}' >meta-data
cat >user-data <<'END'\n${userData}END
echo 'datasource_list: [NoCloud]' >/etc/cloud/cloud.cfg.d/96-source.cfg
`;
}

export interface CloudInitResult {
  readonly datasource: string | null;
  readonly errors: readonly string[];
  /** The stages that have ended. */
  readonly stages: readonly string[];
  /** What they went on in spite of, each with its severity. */
  readonly recoverable: readonly string[];
}

/** What cloud-init says of this boot. */
export async function cloudInitResult(host: BootedHost): Promise<CloudInitResult> {
  const read = async (name: string) => JSON.parse(await host.run(`cat /run/cloud-init/${name}.json`)).v1;
  const { datasource, errors } = (await read("result")) as Pick<CloudInitResult, "datasource" | "errors">;
  const { stage: _, datasource: __, ...stages } = (await read("status")) as Record<string, Stage>;
  const ended = Object.entries(stages).filter(([, { finished }]) => finished !== null);
  const recoverable = Object.values(stages)
    .flatMap(({ recoverable_errors: bySeverity = {} }) => Object.entries(bySeverity))
    .flatMap(([severity, texts]) => texts.map((text) => `${severity}: ${text}`));
  return { datasource, errors, stages: ended.map(([name]) => name).sort(), recoverable };
}

interface Stage {
  readonly finished: number | null;
  readonly recoverable_errors?: Readonly<Record<string, readonly string[]>>;
}

/** Files that have a text in them, wherever they are. */
export async function filesWith(host: BootedHost, text: string): Promise<string[]> {
  const found = await host.run(
    `grep -rlaF --devices=skip --exclude-dir=proc --exclude-dir=sys '${text}' / 2>/dev/null || true`,
  );
  return found.split("\n").filter(Boolean).sort();
}

/**
 * When the agent's status last became this, in seconds of the machine's monotonic clock. The journal has it a moment later
 * than systemd has the status.
 */
export async function becameAt(host: BootedHost, status: "Online" | "Active"): Promise<number> {
  const look = `journalctl --no-pager --quiet --unit connector --output short-monotonic | grep '"to":"${status}"' | tail -1`;
  const seconds = await until(`a line that it is ${status}`, async () => {
    return /^\[ *([\d.]+)\]/.exec(await host.run(look))?.[1];
  });
  return Number(seconds);
}

/** When its systemd was started, on the same clock. */
export async function bootedAt(host: BootedHost): Promise<number> {
  const text = await host.run("systemctl show --property=UserspaceTimestampMonotonic --value");
  return Number(text) / 1e6;
}

/** Now, on the same clock. */
export function monotonicSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}
