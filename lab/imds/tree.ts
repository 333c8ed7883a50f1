// The metadata as the tree of directories and keys that a path walks through.
import type { Faults } from "./faults.ts";
import type { SignedIdentity } from "./identity.ts";
import type { Instance, InstanceRole, NetworkInterface } from "./instance.ts";
import type { Prefixes } from "./prefixes.ts";
import type { SpotAction, View } from "./world.ts";

export type Node = Directory | Leaf;

export interface Directory {
  kind: "directory";
  /** An absent key and an absent directory look alike: undefined here, not listed, 404. */
  entries: Readonly<Record<string, Node | undefined>>;
  /** The top directory of a version lists its subdirectories without the trailing slash. */
  bareNames?: true;
}

export interface Leaf {
  kind: "leaf";
  text: string;
  contentType: "text/plain" | "application/octet-stream";
  /** The first version that has this key; every version has it when not said. */
  since?: string;
  /** Listed, but 404 when asked for. */
  unreadable?: true;
}

/** What stands below `/latest/`. */
export function metadataTree(view: View, identity: SignedIdentity, faults: Faults, nowMs: number): Directory {
  const { userData } = view.instance;
  return {
    ...directory({
      dynamic: directory({ "instance-identity": identityDirectory(identity) }),
      "meta-data": metaData(view, faults, nowMs),
      "user-data":
        userData === undefined
          ? undefined
          : { kind: "leaf", text: userData, contentType: "application/octet-stream" },
    }),
    bareNames: true,
  };
}

function metaData(view: View, faults: Faults, nowMs: number): Directory {
  const { instance, targetLifecycleState, spotAction, rebalanceNoticeMs } = view;
  const [primary] = instance.interfaces;
  const macs = instance.interfaces.map((iface) => {
    const shown = faults.bend(iface.mac, view.prefixesByMac.get(iface.mac) ?? { ipv4: [], ipv6: [] }, nowMs);
    return [iface.mac, macDirectory(iface, instance, shown, faults, nowMs)];
  });
  return directory({
    "ami-id": leaf(instance.amiId),
    autoscaling: directory({
      "target-lifecycle-state": targetLifecycleState && leaf(targetLifecycleState, "2021-07-15"),
    }),
    events: directory({
      recommendations: directory({
        rebalance: rebalanceNoticeMs === undefined ? undefined : rebalanceLeaf(rebalanceNoticeMs),
      }),
    }),
    hostname: leaf(hostname(instance)),
    iam: instance.role === undefined ? undefined : iamDirectory(instance.role, nowMs),
    "instance-id": leaf(instance.instanceId),
    "instance-life-cycle": leaf(instance.lifeCycle, "2019-10-01"),
    "instance-type": leaf(instance.instanceType),
    "local-hostname": leaf(hostname(instance)),
    "local-ipv4": leaf(primary.localIpv4s[0]),
    mac: leaf(primary.mac),
    network: directory({ interfaces: directory({ macs: directory(Object.fromEntries(macs)) }) }),
    placement: directory({
      "availability-zone": leaf(instance.availabilityZone),
      region: leaf(instance.region, "2020-08-24"),
    }),
    "security-groups": leaf(instance.securityGroups.map((group) => group.name).join("\n")),
    spot: spotAction === undefined ? undefined : spotDirectory(spotAction),
  });
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
function spotDirectory({ action, atMs }: SpotAction): Directory {
  const time = isoSeconds(atMs);
  return directory({
    "instance-action": leaf(JSON.stringify({ action, time })),
    "termination-time": action === "terminate" ? leaf(time) : undefined,
  });
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html */
function rebalanceLeaf(noticeMs: number): Leaf {
  return leaf(JSON.stringify({ noticeTime: isoSeconds(noticeMs) }), "2020-10-27");
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html */
function iamDirectory(
  { name, accessKeyId, secretAccessKey, sessionToken }: InstanceRole,
  nowMs: number,
): Directory {
  const credentials = {
    Code: "Success",
    LastUpdated: isoSeconds(nowMs),
    Type: "AWS-HMAC",
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    Token: sessionToken,
    Expiration: isoSeconds(nowMs + credentialsForMs),
  };
  return directory({
    "security-credentials": directory({ [name]: leaf(JSON.stringify(credentials, null, 2)) }),
  });
}

const credentialsForMs = 6 * 3_600_000;

function macDirectory(
  iface: NetworkInterface,
  instance: Instance,
  shown: Prefixes,
  faults: Faults,
  nowMs: number,
): Directory {
  const groupNames = instance.securityGroups.filter((group) => iface.securityGroupIds.includes(group.id));
  const prefixes = (family: "ipv4" | "ipv6"): Leaf | undefined =>
    faults.races(family, nowMs) ? { ...leaf(""), unreadable: true } : listLeaf(shown[family]);
  return directory({
    "device-number": leaf(String(iface.deviceNumber)),
    "interface-id": leaf(iface.interfaceId),
    "ipv4-prefix": prefixes("ipv4"),
    "ipv6-prefix": prefixes("ipv6"),
    ipv6s: listLeaf(iface.ipv6s),
    "local-hostname": leaf(hostname(instance)),
    "local-ipv4s": listLeaf(iface.localIpv4s),
    mac: leaf(iface.mac),
    "owner-id": leaf(iface.ownerId),
    "security-group-ids": listLeaf(iface.securityGroupIds),
    "security-groups": listLeaf(groupNames.map((group) => group.name)),
    "subnet-id": leaf(iface.subnetId),
    "subnet-ipv4-cidr-block": leaf(iface.subnetIpv4CidrBlock),
    "subnet-ipv6-cidr-blocks": listLeaf(iface.subnetIpv6CidrBlocks),
    "vpc-id": leaf(instance.vpcId),
    "vpc-ipv4-cidr-block": leaf(iface.vpcIpv4CidrBlocks[0]),
    "vpc-ipv4-cidr-blocks": listLeaf(iface.vpcIpv4CidrBlocks),
    "vpc-ipv6-cidr-blocks": listLeaf(iface.vpcIpv6CidrBlocks),
  });
}

/** `rsa2048` and `pkcs7` are left out: they are signatures by two further AWS keys that this lab does not make. */
function identityDirectory({ document, signature }: SignedIdentity): Directory {
  return directory({ document: leaf(document), signature: leaf(signature) });
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hostname-types.html: IP name; us-east-1 has a domain of its own. */
function hostname(instance: Instance): string {
  const domain = instance.region === "us-east-1" ? "ec2.internal" : `${instance.region}.compute.internal`;
  return `ip-${instance.interfaces[0].localIpv4s[0].replaceAll(".", "-")}.${domain}`;
}

function directory(entries: Directory["entries"]): Directory {
  return { kind: "directory", entries };
}

function leaf(text: string, since?: string): Leaf {
  return { kind: "leaf", text, contentType: "text/plain", ...(since === undefined ? {} : { since }) };
}

/** One value a line; no values is no key. */
function listLeaf(values: readonly string[]): Leaf | undefined {
  return values.length === 0 ? undefined : leaf(values.join("\n"));
}

function isoSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
