import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { connectorName } from "../plan.ts";
import { nft } from "../vpc/commands.ts";
import type { Way } from "../vpc/router.ts";
import type { Stage, Target } from "./stage.ts";
import { type Expectation, unnoticedMs } from "./verdict.ts";

/** Something that happens to the group while all its devices send requests. */
export interface Fault {
  readonly name: string;
  readonly about: string;
  readonly expects: Expectation;
  /** all: no instance in particular. */
  readonly hits: "instance" | "all";
  /** Needs the process that carries the tunnel, which the kernel's WireGuard has not. */
  readonly needsWireguardGo?: true;
  /** Does it, and waits until what comes of it has come. */
  strike(stage: Stage, target: Target): Promise<void>;
  /** Makes good again what was done. */
  mend(stage: Stage, target: Target): Promise<void>;
}

const nobody = { moves: "nobody", withinMs: unnoticedMs } as const;
/** Users' outage on a drain, and on a silent death: the budgets. */
const drained = { moves: "hit", withinMs: 300 } as const;
const died = { moves: "hit", withinMs: 4_000 } as const;

/** So long nothing must happen: longer than the grace of a lost link and what a device's probe takes. */
const watchMs = 5_000;

const nothing = async () => {};

/** Whoever has repaired an instance starts its agent again; the controller then takes it for well. */
const startAgain = ({ instance }: Target) => instance.process.signal("SIGTERM");

export const faults: readonly Fault[] = [
  {
    name: "agent-killed",
    about: "kill -9 of an agent, which is started again at once",
    hits: "instance",
    expects: nobody,
    async strike(stage, { instance }) {
      instance.process.signal("SIGKILL");
      await stage.pause(watchMs);
    },
    mend: nothing,
  },
  {
    name: "agent-restarted",
    about: "an agent ends as systemd ends it, and is started again",
    hits: "instance",
    expects: nobody,
    async strike(stage, target) {
      startAgain(target);
      await stage.pause(watchMs);
    },
    mend: nothing,
  },
  unplugged("cable", "the cable of an instance is pulled: a silent death"),
  {
    name: "power",
    about: "an instance loses its power: every process ends, nothing answers",
    hits: "instance",
    expects: died,
    async strike(stage, target) {
      await target.host.unplug();
      await killAll(target);
      await stage.left(target);
    },
    mend: boot,
  },
  {
    name: "crash",
    about: "everything on an instance is killed at once; its kernel says so to the controller",
    hits: "instance",
    expects: { moves: "hit", withinMs: 1_500 },
    async strike(stage, target) {
      await killAll(target);
      await stage.left(target);
    },
    mend: boot,
  },
  {
    name: "drain",
    about: "an administrator drains an instance",
    hits: "instance",
    expects: drained,
    async strike(stage, target) {
      await stage.lab.controller.admin.call("instance.drain", { params: { instance: target.name } });
      await stage.left(target);
    },
    async mend(stage, { name }) {
      await stage.lab.controller.admin.call("instance.resume", { params: { instance: name } });
    },
  },
  {
    name: "spot",
    about: "AWS gives an instance two minutes' notice",
    hits: "instance",
    expects: drained,
    async strike(stage, target) {
      target.instance.imds.spotNotice("terminate");
      await stage.left(target);
    },
    async mend(_stage, { instance }) {
      instance.imds.spotNotice(undefined);
    },
  },
  {
    name: "rolling",
    about: "an administrator has all agents restarted, one instance after the other",
    hits: "all",
    expects: { moves: "some", withinMs: drained.withinMs },
    async strike(stage) {
      const params = { connector: connectorName };
      await stage.lab.controller.admin.call("connector.restart", { params, body: {} });
      await stage.restarted();
    },
    mend: nothing,
  },
  unplugged("lost-from", "what an instance sends is lost, what is sent to it is not", "from"),
  unplugged("lost-to", "what is sent to an instance is lost, what it sends is not", "to"),
  {
    name: "lossy",
    about: "a twentieth of what users and an instance send each other is lost, each way",
    hits: "instance",
    expects: { moves: "nobody", withinMs: 1_000 },
    async strike(stage, { host }) {
      const lose = (hook: string, which: string) =>
        `chain ${hook} { type filter hook ${hook} priority -300; ${which} 51820 numgen random mod 20 0 drop; };`;
      const chains = [lose("input", "udp dport"), lose("output", "udp sport")].join(" ");
      await nft(host.namespace, `table inet lossy { ${chains} }`);
      await stage.pause(2 * watchMs);
    },
    async mend(_stage, { host }) {
      await nft(host.namespace, "delete table inet lossy");
    },
  },
  {
    name: "tunnel-stopped",
    about: "wireguard-go hangs under a living agent",
    hits: "instance",
    needsWireguardGo: true,
    expects: died,
    async strike(stage, target) {
      await signalTunnel(target, "SIGSTOP");
      await stage.left(target);
    },
    async mend(_stage, target) {
      await signalTunnel(target, "SIGCONT");
      startAgain(target);
    },
  },
  {
    name: "tunnel-killed",
    about: "kill -9 of wireguard-go, which the agent starts again",
    hits: "instance",
    needsWireguardGo: true,
    expects: { moves: "some", withinMs: 4_000 },
    async strike(stage, target) {
      await signalTunnel(target, "SIGKILL");
      await stage.pause(watchMs);
    },
    async mend(_stage, target) {
      startAgain(target);
    },
  },
  {
    name: "controller-killed",
    about: "kill -9 of the controller, which is started again at once",
    hits: "all",
    expects: nobody,
    async strike(stage) {
      stage.lab.controller.process.signal("SIGKILL");
      await stage.pause(watchMs);
    },
    mend: nothing,
  },
  {
    name: "controller-away",
    about: "an agent is killed and starts again while there is no controller",
    hits: "instance",
    expects: nobody,
    async strike(stage, target) {
      await stage.lab.controller.process.halt();
      target.instance.process.signal("SIGKILL");
      await stage.link(target, "waiting");
      await stage.pause(watchMs);
    },
    async mend({ lab }) {
      lab.controller.process.start();
    },
  },
];

/** Both ways when none is named. */
function unplugged(name: string, about: string, ...ways: readonly Way[]): Fault {
  return {
    name,
    about,
    hits: "instance",
    expects: died,
    async strike(stage, target) {
      await target.host.unplug(...ways);
      await stage.left(target);
    },
    async mend(_stage, target) {
      await target.host.plug();
      startAgain(target);
    },
  };
}

/** All at once, and the agent for good. */
async function killAll({ host, instance }: Target): Promise<void> {
  const halted = instance.process.halt();
  signalAll(await host.pids(), "SIGKILL");
  await halted;
}

async function signalTunnel({ host }: Target, signal: NodeJS.Signals): Promise<void> {
  signalAll(await host.pids("wireguard-go"), signal);
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended.
    }
  }
}

/** What a kernel forgets when it is started again; the tunnel's interface went with the process that carried it. */
async function boot(_stage: Stage, { host, instance }: Target): Promise<void> {
  await nft(host.namespace, "flush ruleset");
  await host.run(["conntrack", "-F"]);
  const run = join(host.folder, "run");
  for (const name of readdirSync(run)) rmSync(join(run, name), { recursive: true, force: true });
  await host.plug();
  instance.process.start();
}
