import type { Instance } from "../imds/instance.ts";
import { Process } from "../process.ts";
import { ipv6Gateway, subnetOf, vpcResolver } from "../vpc/addresses.ts";
import { ip } from "../vpc/commands.ts";
import type { Host } from "../vpc/host.ts";

/** The interface that a virtual machine's own leads to. */
export const tap = "tap0";

/** Of the switch itself, which gives addresses away and so needs some: the last ones of the subnet. Nobody asks for them. */
const switchAddresses = { ipv4: "172.18.143.254/32", ipv6: "2600:1f18:2a89:703::fffe/64" } as const;

/**
 * Makes an instance's namespace the cable between a virtual machine and the router: what was the instance's interface
 * becomes a port of a switch, and gives its addresses and its MAC up to the machine. DHCP as in a VPC, and a router
 * advertisement, which leads by the switch. Returns the DHCP server, started.
 */
export async function plugIn(host: Host, ec2: Instance, logFile: string): Promise<Process> {
  const [{ mac, localIpv4s, ipv6s, subnetIpv4CidrBlock }] = ec2.interfaces;
  await ip(host.namespace, [
    "address flush dev ens5 scope global",
    "link set ens5 address 02:00:00:00:00:01",
    "link add switch type bridge forward_delay 0",
    "link set ens5 master switch",
    `tuntap add ${tap} mode tap`,
    `link set ${tap} master switch`,
    `link set ${tap} up`,
    "link set ens5 up",
    "link set switch up",
    `address add ${switchAddresses.ipv4} dev switch`,
    `address add ${switchAddresses.ipv6} dev switch nodad`,
    `route replace ::/0 via ${ipv6Gateway} dev switch`,
  ]);
  const subnet = subnetOf(subnetIpv4CidrBlock);
  const network = subnetIpv4CidrBlock.split("/")[0];
  const server = new Process({
    name: `${host.name}-dhcp`,
    command: host.command(["dnsmasq"]),
    args: [
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--user=root",
      "--log-facility=-",
      "--log-dhcp",
      "--port=0",
      "--interface=switch",
      "--leasefile-ro",
      "--dhcp-authoritative",
      "--dhcp-broadcast",
      `--dhcp-range=${network},static,${netmask(subnet.ipv4Length)},1h`,
      "--dhcp-range=2600:1f18:2a89:703::,static,64,1h",
      "--enable-ra",
      `--dhcp-host=${mac},${localIpv4s[0]},[${ipv6s[0]}]`,
      `--dhcp-option=option:router,${subnet.ipv4Gateway}`,
      `--dhcp-option=option:dns-server,${vpcResolver.ipv4}`,
    ],
    logFile,
  });
  server.start();
  return server;
}

function netmask(length: number): string {
  const bits = (0xffffffff << (32 - length)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".");
}
