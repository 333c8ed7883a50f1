import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { readOfProcess, startOf } from "../../protocol/node/processes.ts";
import { until } from "../support/until.ts";

const exec = promisify(execFile);
let booted = 0;

export interface HostOptions {
  /** What it boots; stays as it is. */
  readonly root: string;
  /** The network namespace that is its network. */
  readonly namespace: string;
  /** Seen by it as /packages, read only. */
  readonly packages: string;
  /** For the console. */
  readonly folder: string;
  /** A shell's command line that is run in the root before it boots: what an image has. */
  readonly image?: string;
}

/** A host with a systemd of its own: systemd-nspawn over a root whose changes are in memory, last over reboots and end with it. */
export class BootedHost implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #console: string;
  #leader = 0;

  private constructor(options: HostOptions) {
    const { root, namespace, packages, folder, image = "true" } = options;
    const name = `connector-${process.pid}-${booted++}`;
    this.#console = join(folder, `${name}.console`);
    const log = openSync(this.#console, "w");
    const place = join(folder, name);
    mkdirSync(place);
    const args = [
      // There may be no systemd on this machine to register with.
      ...["--register=no", "--keep-unit", "--settings=no", "--link-journal=no", "--quiet", "--console=pipe"],
      ...[`--directory=${place}/root`, `--machine=${name}`, "--boot"],
      "--capability=CAP_NET_ADMIN",
      ...[`--bind-ro=${packages}:/packages`, "--resolv-conf=off", "--timezone=off"],
    ];
    // It ends with this process, however that ends; and with a namespace's first process the kernel ends all in it.
    const mortal = ["--pdeathsig", "KILL", "unshare", "--pid", "--mount-proc", "--fork", "--kill-child"];
    this.#child = spawn("setpriv", [...mortal, "sh", "-c", start, "sh", ...args], {
      stdio: ["ignore", log, log],
      env: {
        ...process.env,
        // The second version of control groups, also where this machine has the first.
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1",
        ...{ PLACE: place, LOWER: root, PACKAGES: packages, IMAGE: image },
        NETWORK: `/run/netns/${namespace}`,
      },
    });
    closeSync(log);
  }

  /** Resolves when it has booted, and nothing failed. */
  static async boot(options: HostOptions): Promise<BootedHost> {
    const host = new BootedHost(options);
    try {
      await host.#untilBooted();
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw new Error(`no host: ${readFileSync(host.#console, "utf8").slice(-2_000)}`, { cause: error });
    }
  }

  /** Resolves when it has booted again, and nothing failed. */
  async reboot(): Promise<void> {
    await this.run("systemctl --no-block reboot");
    await this.#untilBooted(this.#leader);
  }

  /** Runs a shell's command line on it to its end, and returns what it said. Rejects with that when it fails. */
  async run(script: string, timeoutMs = 60_000): Promise<string> {
    const inside = ["--target", String(this.#leader), "--all", "sh", "-c", script];
    const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };
    try {
      const options = { env, timeout: timeoutMs, maxBuffer: 1 << 26 };
      return (await exec("nsenter", inside, options)).stdout.trim();
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string };
      throw new Error(`${script}: ${stdout ?? ""}${stderr ?? error}`, { cause: error });
    }
  }

  /** What systemd knows of a unit. */
  async unit<const Name extends string>(unit: string, ...names: Name[]): Promise<Record<Name, string>> {
    const text = await this.run(`systemctl show ${unit} --property=${names.join()}`);
    const pairs = text.split("\n").map((line) => [line.split("=", 1)[0], line.replace(/^\w+=/, "")]);
    return Object.fromEntries(pairs) as Record<Name, string>;
  }

  async state(): Promise<string> {
    const state = await this.run("systemctl is-system-running || true").catch(() => "");
    return /^(running|degraded|maintenance)$/.test(state) ? state : "not yet";
  }

  /** Its first process has ended. */
  get isOff(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isOff) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
    await until("its processes have ended", () => startOf(this.#leader) === undefined);
  }

  async #untilBooted(former = 0): Promise<void> {
    await until("its first process", () => this.#findLeader(former), 60_000);
    await until("it has booted", async () => (await this.state()) !== "not yet", 60_000);
    const state = await this.state();
    if (state !== "running") throw new Error(`it is ${state}: ${await this.run("systemctl --failed")}`);
  }

  /** The process that is number 1 in a namespace within systemd-nspawn's. */
  #findLeader(former: number): boolean {
    const [shell = 0] = childrenOf(this.#child.pid ?? 0);
    const leader = childrenOf(shell)
      .flatMap(childrenOf)
      .find((pid) => /^NSpid:\t\d+\t\d+\t1$/m.test(readOfProcess(pid, "status") ?? ""));
    if (leader === undefined || leader === former) return false;
    this.#leader = leader;
    return true;
  }
}

/**
 * In a mount namespace of its own, with which all of it ends: changes of the root, and what systemd-nspawn otherwise leaves in
 * the machine's /run. Who may open the tunnel device is udev's matter, which does not run in containers. What Debian does once
 * a day would some day be done during a test, and its files be taken for a package's.
 */
const start = `set -e
mount -t tmpfs tmpfs "$PLACE"
cd "$PLACE"
mkdir upper work root
mount -t overlay -o "lowerdir=$LOWER,upperdir=upper,workdir=work" overlay root
rm -f root/etc/systemd/system/timers.target.wants/*
mkdir -p /run/systemd root/packages
mount -t tmpfs tmpfs /run/systemd
mount --bind "$PACKAGES" root/packages
chroot root sh -ec "$IMAGE"
umount root/packages
echo 'z /dev/net/tun 0666' >root/etc/tmpfiles.d/tunnel.conf
while :; do
  code=0
  nsenter --net="$NETWORK" systemd-nspawn --network-namespace-path="$NETWORK" "$@" || code=$?
  # It wants to be started again, for the host reboots.
  [ $code -eq 133 ] || exit $code
done`;

function childrenOf(pid: number): number[] {
  const children = readOfProcess(pid, `task/${pid}/children`) ?? "";
  return children.split(" ").filter(Boolean).map(Number);
}
