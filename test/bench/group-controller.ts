/**
 * A controller in a process of its own: its core, store and link server as `startController` joins them, without the admin
 * API, with devices in the process besides. The parent asks (group-child.ts).
 */
import { createServer } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { makers } from "../../controller/adapters/makers.ts";
import { openStore } from "../../controller/adapters/store.ts";
import { connectionsWaitingMax } from "../../controller/api/limits.ts";
import { ControllerCore } from "../../controller/core/core.ts";
import type { ControllerEffect, ControllerInput } from "../../controller/core/effects.ts";
import { type CoreSettings, coreDefaults } from "../../controller/core/settings.ts";
import { Running } from "../../controller/running.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { createLogger } from "../../protocol/node/log.ts";
import type { Attachment } from "../../protocol/state.ts";
import type { Instant } from "../../protocol/time.ts";
import { answerParent, optionsOfChild } from "./group-child.ts";
import { LocalDevices } from "./group-local.ts";

export interface ControllerChildOptions {
  readonly stateDir: string;
  readonly port: number;
  readonly settings: Partial<CoreSettings>;
  /** Numbers of the devices in this process. */
  readonly from: number;
  readonly to: number;
  /** They had links until then. */
  readonly lostAtMs?: number;
}

export interface Memory {
  readonly heapBytes: number;
  readonly rssBytes: number;
}

/** The core, and what the bench sees pass by. */
class WatchedCore extends ControllerCore {
  local: LocalDevices | undefined;
  /** When something other than a heartbeat came in last. */
  workedAtMs = 0;
  isAwaitingLoss = false;
  /** SIGKILL, by this process itself and so never too late, in the turn in which so many sessions are attached. */
  killedAtAttached: number | undefined;
  /** Of the instance that was judged gone: when, when its devices were told since, and what that cost. */
  decided: Moment | undefined;
  lastTold: Moment | undefined;
  told = 0;

  override handle(input: ControllerInput, now: Instant): readonly ControllerEffect[] {
    const isHeartbeat = input.kind === "tick" || (input.kind === "received" && input.message.type === "ping");
    if (!isHeartbeat) this.workedAtMs = now.monotonicMs;
    const begun = this.isAwaitingLoss ? moment() : undefined;
    const effects = super.handle(input, now);
    for (const effect of effects) this.#watch(effect, begun);
    const { killedAtAttached } = this;
    if (killedAtAttached !== undefined && this.metricsFacts().sessions.attached >= killedAtAttached)
      process.kill(process.pid, "SIGKILL");
    return effects.filter((effect) => !this.local?.takes(effect));
  }

  #watch(effect: ControllerEffect, begun: Moment | undefined): void {
    if (begun !== undefined && effect.do === "tell" && effect.facts.verdict === "gone") {
      this.decided = begun;
      this.isAwaitingLoss = false;
    }
    if (this.decided === undefined || effect.do !== "send" || effect.message.type !== "state") return;
    const isTold = effect.message.set.some(
      ([key, value]) => key === "attachment" && (value as Attachment).state === "attached",
    );
    if (!isTold) return;
    this.told += 1;
    // After the effects of this turn, this one among them, are performed.
    queueMicrotask(() => {
      this.lastTold = moment();
    });
  }
}

interface Moment {
  readonly atMs: number;
  /** Processor time of the process so far, ms. */
  readonly processorMs: number;
}

function moment(): Moment {
  const { user, system } = process.cpuUsage();
  return { atMs: systemClock().monotonicMs, processorMs: (user + system) / 1000 };
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function memory(): Memory {
  collect();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapBytes: heapUsed + external, rssBytes: rss };
}

const options = optionsOfChild<ControllerChildOptions>();
const { stateDir, port, settings, from, to, lostAtMs } = options;
const store = openStore(stateDir);
const saved = await store.load();
const core = new WatchedCore({
  saved,
  settings: { ...coreDefaults, ...settings },
  makers,
  now: systemClock(),
});
const log = createLogger({ name: "connector-controller", level: "info" });
const running = new Running(core, store, { log, clock: systemClock, awsCertificates: stateDir });
const post = (input: ControllerInput) => running.driver.post(input);
const local = new LocalDevices({ from, to, post, now: systemClock });
core.local = local;
const server = createServer();
running.serve(server);
await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", connectionsWaitingMax, resolve));
const listeningAtMs = systemClock().monotonicMs;
if (lostAtMs !== undefined) local.comeBack(saved, lostAtMs);
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();

const handlers = {
  listening: () => ({ atMs: listeningAtMs }),
  memory,
  moment,
  facts: () => ({ ...core.metricsFacts(), workedAtMs: core.workedAtMs, nowMs: systemClock().monotonicMs }),
  instances: () => core.viewsAt(systemClock()).instances(),
  local: () => local.counts,
  login: async (atOnce: number) => await local.login(atOnce),
  die: (instance: string) => local.die(instance),
  dieAtAttached: (sessions: number) => {
    core.killedAtAttached = sessions;
  },
  awaitLoss: () => {
    core.isAwaitingLoss = true;
  },
  /** When an instance was judged gone, and what devices were told since. */
  loss: () => ({ decided: core.decided, lastTold: core.lastTold, told: core.told }),
  /** The longest time the event loop was busy since this was asked last, ms. */
  busiestMs: () => {
    const { max } = delay;
    delay.reset();
    return max / 1e6;
  },
};
export type ControllerChild = typeof handlers;
answerParent(handlers);
