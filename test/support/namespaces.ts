import { execFile, execFileSync, spawn } from "node:child_process";
import { promisify } from "node:util";
import { startOf } from "../../protocol/node/processes.ts";
import { until } from "./until.ts";

const exec = promisify(execFile);
const prefix = "connector-test-";
let made = 0;

/** Why tests in network namespaces cannot run here; undefined when they can. */
export const noNamespaces: string | undefined = whyNoNamespaces();

/** The prefix that makes a command run inside a namespace. */
export function insideOf(namespace: string): readonly string[] {
  return ["ip", "netns", "exec", namespace];
}

/** An interface name that no other test process uses: WireGuard's control sockets share one folder on a host. */
export function interfaceName(): string {
  return `ct${process.pid.toString(36)}x${(made++).toString(36)}`;
}

/** Hosts of a test: network namespaces, gone with everything that runs in them when disposed of. */
export class TestHosts implements Disposable {
  readonly #names: string[] = [];

  constructor() {
    sweep();
  }

  add(role: string): string {
    const name = `${prefix}${process.pid}-${made++}-${role}`;
    ip(["netns", "add", name]);
    this.#names.push(name);
    ip(["-n", name, "link", "set", "lo", "up"]);
    return name;
  }

  /** A cable between two hosts; `10.77.0.1/24` style addresses, both families. */
  connect(a: string, aAddresses: readonly string[], b: string, bAddresses: readonly string[]): void {
    const id = made++;
    const [aSide, bSide] = [`va${id}`, `vb${id}`];
    ip(["link", "add", aSide, "netns", a, "type", "veth", "peer", "name", bSide, "netns", b]);
    for (const [host, side, addresses] of [
      [a, aSide, aAddresses],
      [b, bSide, bAddresses],
    ] as const) {
      for (const address of addresses) {
        ip(["-n", host, "address", "add", address, "dev", side, ...(address.includes(":") ? ["nodad"] : [])]);
      }
      ip(["-n", host, "link", "set", side, "up"]);
    }
  }

  [Symbol.dispose](): void {
    for (const name of this.#names) removeNamespace(name);
  }
}

/** Runs a command inside a host to its end; rejects with what it said when it fails. */
export async function runIn(namespace: string, ...argv: readonly string[]): Promise<string> {
  const { stdout } = await exec("ip", ["netns", "exec", namespace, ...argv], { timeout: 60_000 });
  return stdout;
}

export interface Pings {
  readonly transmitted: number;
  /** Up to the last one that came back: what was sent after it may be on its way. */
  readonly sent: number;
  readonly lost: number;
}

export interface Pinging {
  /** Waits until so many more have come back. */
  more(count: number): Promise<void>;
  /** When one more has come back. */
  stop(): Promise<Pings>;
}

/** Echoes at an interval, 20 ms, until told to stop, and then how many did not come back. */
export function pingSteadily(namespace: string, address: string, intervalMs = 20): Pinging {
  const command = ["netns", "exec", namespace, "ping", "-n", "-i", `${intervalMs / 1000}`, address];
  const child = spawn("ip", command, { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const answered = () =>
    new Set([...text.matchAll(/bytes from .* icmp_seq=(\d+)/g)].map((match) => Number(match[1])));
  const more = async (count: number) => {
    const enough = answered().size + count;
    await until(`${count} more echoes`, () => answered().size >= enough);
  };
  return {
    more,
    async stop() {
      await more(1);
      child.kill("SIGINT");
      await ended;
      const transmitted = Number(/(\d+) packets transmitted/.exec(text)?.[1]);
      const came = answered();
      const sent = Math.max(...came);
      return { transmitted, sent, lost: sent - came.size };
    },
  };
}

/** Whether one echo comes back, which a busy machine may take its time for. */
export function reaches(namespace: string, address: string, ...options: string[]): Promise<boolean> {
  return pings(namespace, address, ...options, "-W", "4");
}

/** Whether one echo comes back within half a second: for what is to be silent, and for what is asked again. */
export async function pings(namespace: string, address: string, ...options: string[]): Promise<boolean> {
  const answer = await runIn(namespace, "ping", "-n", "-c", "1", "-W", "0.5", ...options, address).catch(
    () => "",
  );
  return answer.includes(" 1 received");
}

/** Removes what test processes left behind that were killed. */
function sweep(): void {
  for (const line of ip(["netns", "list"]).split("\n")) {
    const name = line.split(" ")[0] ?? "";
    const pid = /^connector-test-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && startOf(Number(pid)) === undefined) removeNamespace(name);
  }
}

function removeNamespace(name: string): void {
  try {
    for (const pid of ip(["netns", "pids", name]).split("\n").filter(Boolean)) kill(Number(pid));
    ip(["netns", "delete", name]);
  } catch {
    // Another test process swept it.
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

function ip(args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const probe = `${prefix}${process.pid}-probe`;
  try {
    ip(["netns", "add", probe]);
    ip(["netns", "delete", probe]);
    return undefined;
  } catch (error) {
    return `no network namespaces here: ${(error as Error).message.split("\n", 1)[0]}`;
  }
}
