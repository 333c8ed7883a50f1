import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CoreSettings } from "../../controller/core/settings.ts";
import { freePort } from "../../lab/ports.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import type { AgentsChild, AgentsOptions } from "./group-agents.ts";
import { Child } from "./group-child.ts";
import type { ControllerChild, ControllerChildOptions } from "./group-controller.ts";
import type { DevicesChild, DevicesOptions } from "./group-devices.ts";
import { type GroupShape, type SessionOnDisk, seed, sessionsOnDisk } from "./group-world.ts";

/** On a busy machine ninety thousand logins take minutes. */
const withinMs = 900_000;
/** Nothing but heartbeats for so long is quiet. */
const quietAfterMs = 500;

/**
 * A whole group around one controller process: its instances in a second process, devices on sockets in a third, the other
 * devices in the controller's own. The controller can be killed and started again on its database and port.
 */
export class Group implements AsyncDisposable {
  readonly shape: GroupShape;
  readonly #stack: AsyncDisposableStack;
  readonly #folder: string;
  readonly #settings: Partial<CoreSettings>;
  #controller: Child<ControllerChild> | undefined;
  #agents: Child<AgentsChild> | undefined;
  #devices: Child<DevicesChild> | undefined;
  #port = 0;

  /** Everybody's process runs; nobody has dialled yet. */
  static async start(shape: GroupShape, settings: Partial<CoreSettings> = {}): Promise<Group> {
    const stack = new AsyncDisposableStack();
    const { path } = stack.use(temporaryFolder());
    const group = new Group(shape, settings, path, stack);
    try {
      await group.#start();
      return group;
    } catch (error) {
      await group[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    shape: GroupShape,
    settings: Partial<CoreSettings>,
    folder: string,
    stack: AsyncDisposableStack,
  ) {
    this.shape = shape;
    this.#settings = settings;
    this.#folder = folder;
    this.#stack = stack;
  }

  get controller(): Child<ControllerChild> {
    return running(this.#controller);
  }

  get agents(): Child<AgentsChild> {
    return running(this.#agents);
  }

  get devices(): Child<DevicesChild> {
    return running(this.#devices);
  }

  /** Resolves when the controller has heard all instances. */
  async startAgents(): Promise<void> {
    await this.agents.ask("start");
    await until(
      "the instances",
      async () => (await this.agents.ask("heard")).count === this.shape.instances,
      withinMs,
    );
  }

  /** Everybody who should have a link has one, and nothing is said any more but heartbeats. Answers since when. */
  async quiet(instances = this.shape.instances): Promise<number> {
    let lacks = "";
    const look = async () => {
      const { links, sessions, queued, workedAtMs, nowMs } = await this.controller.ask("facts");
      const heard = (await this.agents.ask("heard")).count;
      lacks = JSON.stringify({ links, heard, sessions, queued });
      const isWhole = links.agents === instances && links.devices === this.shape.devices;
      const isOwed = queued + sessions.placed > 0 || heard !== instances;
      return isWhole && !isOwed && nowMs > workedAtMs + quietAfterMs ? workedAtMs : undefined;
    };
    return await until("quiet", look, withinMs).catch((why: Error) => {
      throw new Error(`${why.message}: ${lacks}`);
    });
  }

  /** SIGKILL. Answers when, on the monotonic clock. */
  async killController(): Promise<number> {
    await this.controller.kill();
    return systemClock().monotonicMs;
  }

  /** On the database and the port of the one before, whose devices lost their links at `lostAtMs`. */
  async restartController(lostAtMs: number): Promise<void> {
    await this.#startController(lostAtMs);
  }

  sessions(): SessionOnDisk[] {
    return sessionsOnDisk(this.#folder);
  }

  /** Lines of level error that controllers have logged (pino's level 50). */
  errors(): string[] {
    const lines = readFileSync(this.#logFile, "utf8").split("\n");
    return lines.filter((line) => line.startsWith('{"level":50') || line.startsWith('{"level":"error"'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#controller?.kill();
    await this.#stack.disposeAsync();
  }

  get #logFile(): string {
    return join(this.#folder, "controller.log");
  }

  async #start(): Promise<void> {
    await seed(this.#folder, this.shape);
    this.#port = await freePort();
    await this.#startController(undefined);
    const url = `http://127.0.0.1:${this.#port}`;
    const { instances, sockets } = this.shape;
    const ofAgents: AgentsOptions = { url, instances };
    this.#agents = this.#stack.use(await Child.start<AgentsChild>(program("group-agents"), ofAgents));
    const ofDevices: DevicesOptions = { url, devices: sockets };
    this.#devices = this.#stack.use(await Child.start<DevicesChild>(program("group-devices"), ofDevices));
  }

  async #startController(lostAtMs: number | undefined): Promise<void> {
    const { sockets: from, devices: to } = this.shape;
    const options: ControllerChildOptions = {
      stateDir: this.#folder,
      port: this.#port,
      settings: this.#settings,
      from,
      to,
      ...(lostAtMs === undefined ? {} : { lostAtMs }),
    };
    this.#controller = await Child.start<ControllerChild>(
      program("group-controller"),
      options,
      this.#logFile,
    );
  }
}

function program(name: string): string {
  return join(import.meta.dirname, `${name}.ts`);
}

function running<Asked>(child: Asked | undefined): Asked {
  if (child === undefined) throw new Error("the process does not run yet");
  return child;
}
