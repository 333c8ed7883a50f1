/**
 * What an emulated EC2 instance is: the facts that do not change while it runs. Field names follow the
 * instance metadata categories (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html).
 */
export interface Instance {
  instanceId: string;
  instanceType: string;
  amiId: string;
  accountId: string;
  region: string;
  availabilityZone: string;
  vpcId: string;
  architecture: "x86_64" | "arm64";
  /** The purchasing option. */
  lifeCycle: "on-demand" | "spot";
  /** ISO 8601 in whole seconds, the identity document's `pendingTime`. */
  pendingTime: string;
  /** The first is the primary interface (device-number 0). */
  interfaces: readonly [NetworkInterface, ...NetworkInterface[]];
  securityGroups: readonly SecurityGroup[];
  userData?: string;
  /** The instance profile's role, where there is one. */
  role?: InstanceRole;
}

/** A role with the temporary credentials that the metadata service gives out; here they do not change. */
export interface InstanceRole {
  name: string;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

export interface NetworkInterface {
  mac: string;
  deviceNumber: number;
  interfaceId: string;
  ownerId: string;
  subnetId: string;
  /** The first is the primary address. */
  localIpv4s: readonly [string, ...string[]];
  ipv6s: readonly string[];
  subnetIpv4CidrBlock: string;
  subnetIpv6CidrBlocks: readonly string[];
  vpcIpv4CidrBlocks: readonly [string, ...string[]];
  vpcIpv6CidrBlocks: readonly string[];
  securityGroupIds: readonly string[];
}

export interface SecurityGroup {
  id: string;
  name: string;
}

/** The Nth instance (1–64) of the lab's VPC, like its siblings in everything that siblings share. */
export function instanceNumbered(ordinal: number, overrides: Partial<Instance> = {}): Instance {
  if (!Number.isInteger(ordinal) || ordinal < 1 || ordinal > 64)
    throw new RangeError(`ordinal ${ordinal}: 1 to 64`);
  const hex = ordinal.toString(16).padStart(2, "0");
  return {
    instanceId: `i-0e306ccdf94a1b2${hex}`,
    instanceType: "c5.xlarge",
    amiId: "ami-0c0ffee0c0ffee001",
    accountId: "123456789012",
    region: "us-east-1",
    availabilityZone: `us-east-1${"abc".charAt((ordinal - 1) % 3)}`,
    vpcId: labVpc.id,
    architecture: "x86_64",
    // So that every kind of notice can be played on it.
    lifeCycle: "spot",
    pendingTime: "2024-10-28T10:48:06Z",
    interfaces: [interfaceNumbered(ordinal)],
    securityGroups: [{ id: "sg-0c0ffee0c0ffee001", name: "connector" }],
    ...overrides,
  };
}

/** An interface in the lab's one subnet; `deviceNumber` above 0 makes a further one for the same instance. */
export function interfaceNumbered(ordinal: number, deviceNumber = 0): NetworkInterface {
  const hex = ordinal.toString(16).padStart(2, "0");
  const device = deviceNumber.toString(16).padStart(2, "0");
  return {
    mac: `0e:49:61:0f:${device}:${hex}`,
    deviceNumber,
    interfaceId: `eni-0a1b2c3d4e5f6${device}${hex}`,
    ownerId: "123456789012",
    subnetId: labVpc.subnetId,
    localIpv4s: [`172.18.${139 + deviceNumber}.${ordinal + 3}`],
    ipv6s: [`2600:1f18:2a89:703::${(deviceNumber * 256 + ordinal).toString(16)}`],
    subnetIpv4CidrBlock: labVpc.subnetIpv4CidrBlock,
    subnetIpv6CidrBlocks: [labVpc.subnetIpv6CidrBlock],
    vpcIpv4CidrBlocks: [labVpc.ipv4CidrBlock],
    vpcIpv6CidrBlocks: [labVpc.ipv6CidrBlock],
    securityGroupIds: ["sg-0c0ffee0c0ffee001"],
  };
}

const labVpc = {
  id: "vpc-0c0ffee0c0ffee001",
  subnetId: "subnet-0c0ffee0c0ffee001",
  ipv4CidrBlock: "172.18.0.0/16",
  ipv6CidrBlock: "2600:1f18:2a89:700::/56",
  subnetIpv4CidrBlock: "172.18.128.0/20",
  subnetIpv6CidrBlock: "2600:1f18:2a89:703::/64",
};
