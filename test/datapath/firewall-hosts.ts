import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Nft } from "../../agent/adapters/nft.ts";
import { NftTable } from "../../agent/adapters/nft-table.ts";
import { commandRunner, type Run } from "../../protocol/node/command.ts";
import { temporaryFolder } from "../support/folder.ts";
import { insideOf, noNamespaces, TestHosts } from "../support/namespaces.ts";
import { keepingLog } from "../support/quiet-log.ts";
import type { Request } from "./firewall-host-program.ts";

/** Why the firewall cannot be tested in a kernel here; undefined when it can. */
export const noFirewall: string | undefined = noNamespaces ?? missing(["nft", "conntrack", "dnsmasq"]);

/** A namespace of a test's own with the adapters that program it. */
export class FirewallHost implements Disposable {
  readonly #hosts = new TestHosts();
  readonly #folder = temporaryFolder();
  readonly name: string;
  readonly run: Run;
  readonly nft: Nft;
  readonly log = keepingLog();

  constructor() {
    this.name = this.#hosts.add("instance");
    this.run = commandRunner(insideOf(this.name));
    this.nft = new Nft({ run: this.run, folder: this.#folder.path });
  }

  get hosts(): TestHosts {
    return this.#hosts;
  }

  get folder(): string {
    return this.#folder.path;
  }

  /** As after a restart of the agent: it knows nothing of what an earlier one wrote. */
  table(): NftTable {
    return new NftTable({ nft: this.nft, log: this.log.log });
  }

  /** A command that must work. */
  async must(...argv: string[]): Promise<string> {
    const result = await this.run(argv);
    if (!result.ok) throw result.failure;
    return result.value;
  }

  [Symbol.dispose](): void {
    this.#hosts[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

export interface FirewallWorld extends Disposable {
  readonly instance: FirewallHost;
  readonly users: Applications;
  readonly vpc: Applications;
}

/**
 * Users, an instance and a VPC, each a namespace. A cable stands for the tunnel, so that the instance meets what
 * WireGuard would have let through; neighbours are fixed, because a tunnel has no neighbour discovery to be filtered.
 */
export function firewallWorld(addresses: {
  readonly users: readonly string[];
  readonly vpc: readonly string[];
}): FirewallWorld {
  const instance = new FirewallHost();
  const [users, vpc] = [instance.hosts.add("users"), instance.hosts.add("vpc")];
  // Without duplicate address detection: for its second or two no link-local address asks for neighbours.
  const settings = [
    "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
  ];
  for (const host of [instance.name, users, vpc]) {
    execFileSync("ip", ["netns", "exec", host, "sh", "-c", settings.join(" && ")]);
  }
  for (const [host, lines] of layout({ instance: instance.name, users, vpc }, addresses)) {
    const inside = host === undefined ? [] : ["-n", host];
    execFileSync("ip", [...inside, "-batch", "-"], { input: lines.join("\n"), stdio: "pipe" });
  }
  const world = { instance, users: new Applications(users), vpc: new Applications(vpc) };
  return {
    ...world,
    [Symbol.dispose]() {
      world.users[Symbol.dispose]();
      world.vpc[Symbol.dispose]();
      instance[Symbol.dispose]();
    },
  };
}

/** The tunnel's MTU is the smaller one, and the users do not know it: what the clamp is for. */
function layout(
  { instance, users, vpc }: { instance: string; users: string; vpc: string },
  addresses: { readonly users: readonly string[]; readonly vpc: readonly string[] },
): [host: string | undefined, lines: string[]][] {
  const [here, there] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
  const own = (address: string, length: readonly [v4: number, v6: number], dev: string) =>
    `address add ${address}/${address.includes(":") ? `${length[1]} nodad` : length[0]} dev ${dev}`.replace(
      / nodad dev (\S+)/,
      " dev $1 nodad",
    );
  return [
    [
      undefined,
      [
        `link add cb0 netns ${instance} address ${here} type veth peer name u0 netns ${users} address ${there}`,
        `link add ens5 netns ${instance} type veth peer name v0 netns ${vpc}`,
      ],
    ],
    [
      instance,
      [
        own("100.64.0.1", [32, 128], "cb0"),
        own("fd01::1", [32, 128], "cb0"),
        own("10.255.255.1", [8, 16], "ens5"),
        own("fd00:ffff::1", [8, 16], "ens5"),
        "link set cb0 mtu 1280 up",
        "link set ens5 up",
        "route add 10.200.0.0/16 dev cb0",
        "route add 2001:db8:200::/80 dev cb0",
        "route add 169.254.169.254/32 dev ens5",
        ...addresses.users.map((user) => `neighbour replace ${user} lladdr ${there} dev cb0 nud permanent`),
      ],
    ],
    [
      users,
      [
        ...addresses.users.map((user) => own(user, [32, 128], "u0")),
        "link set u0 up",
        ...["100.64.0.1", "fd01::1"].flatMap((gateway) => [
          `neighbour replace ${gateway} lladdr ${here} dev u0 nud permanent`,
          `route add default via ${gateway} dev u0 onlink`,
        ]),
      ],
    ],
    [
      vpc,
      [
        ...addresses.vpc.map((address) => own(address, [8, 16], "v0")),
        own("169.254.169.254", [32, 128], "v0"),
        "link set v0 up",
        "route add 10.200.0.0/16 via 10.255.255.1",
        "route add 2001:db8:200::/80 via fd00:ffff::1",
        "route add 100.64.0.1/32 via 10.255.255.1",
      ],
    ],
  ];
}

type Answer = { readonly id: number; readonly answer: string };

/** The programs of one namespace: asked over a pipe, answered in the order in which they are done. */
export class Applications implements Disposable {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: string) => void>();
  #asked = 0;

  constructor(name: string) {
    this.name = name;
    const program = join(import.meta.dirname, "firewall-host-program.ts");
    const [file = "", ...args] = [...insideOf(name), process.execPath, program];
    this.#child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("no pipe");
    createInterface(this.#child.stdout).on("line", (line) => {
      const { id, answer } = JSON.parse(line) as Answer;
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
  }

  request(request: Request): Promise<string> {
    const id = this.#asked++;
    this.#child.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async serve(protocol: "tcp" | "udp", address: string, ...ports: number[]): Promise<void> {
    for (const port of ports) {
      const answer = await this.request({ do: "serve", protocol, address, port });
      if (answer !== "served") throw new Error(`${protocol} ${address} ${port}: ${answer}`);
    }
  }

  /** The address that the other side saw, or why it saw none: for an answer that is to come, however busy the machine is. */
  reach(from: string, protocol: "tcp" | "udp", to: string, port: number): Promise<string> {
    return this.request({ do: "ask", protocol, from, to, port, withinMs: 5_000 });
  }

  /** The same, or `silence` soon. */
  ask(from: string, protocol: "tcp" | "udp", to: string, port: number, withinMs = 300): Promise<string> {
    return this.request({ do: "ask", protocol, from, to, port, withinMs });
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

function missing(commands: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? "").split(":");
  const absent = commands.filter((command) => !folders.some((folder) => existsSync(join(folder, command))));
  return absent.length === 0 ? undefined : `not installed: ${absent.join(" ")}`;
}
