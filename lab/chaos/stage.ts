import { setTimeout as sleep } from "node:timers/promises";
import { AgentClient } from "../../agent/cli/client.ts";
import type { DeviceView, InstanceView } from "../../controller/core/views.ts";
import type { LabInstance } from "../instance.ts";
import type { Lab } from "../lab.ts";
import { connectorName } from "../plan.ts";
import type { Host } from "../vpc/host.ts";
import { waitFor } from "../wait.ts";
import type { Load } from "./load.ts";
import type { Places } from "./verdict.ts";

/** An instance with the name that the controller gave it. */
export interface Target {
  readonly name: string;
  readonly instance: LabInstance;
  readonly host: Host;
}

/** How long a device must have been answered for to count as one that is well, and who is silent for longer is not. */
const silentMs = 450;
/** An end in sight for whatever is waited for. */
const patienceMs = 60_000;

/** The lab under load, as those need it who do something to it and wait for what comes of it. */
export class Stage {
  readonly lab: Lab;
  readonly load: Load;
  readonly signal: AbortSignal;

  constructor(lab: Lab, load: Load, signal: AbortSignal) {
    this.lab = lab;
    this.load = load;
    this.signal = signal;
  }

  /** The instance with the most sessions: there is most to lose. */
  async busiest(): Promise<Target> {
    const views = await this.lab.listInstances();
    const [most] = views.toSorted((a, b) => b.sessions - a.sessions);
    const instance = this.lab.instances.find(({ ec2 }) => ec2.instanceId === most?.providerInstanceId);
    const host = instance?.site.host;
    if (most === undefined || instance === undefined || host === undefined)
      throw new Error("no instance to hit");
    return { name: most.name, instance, host };
  }

  async places(): Promise<Places> {
    const devices = await this.lab.listDevices();
    return new Map(
      devices.map(({ name, session }) => [
        name,
        session === null
          ? undefined
          : { session: session.id, epoch: session.epoch, instance: session.instance },
      ]),
    );
  }

  /** When all is well: instances serve, devices are attached, say so of their paths, and are answered. @throws Error with what is not. */
  async quiet(): Promise<void> {
    let missing: readonly string[] = [];
    const isQuiet = async () => {
      missing = await this.#missing().catch((error: Error) => [error.message]);
      return missing.length === 0;
    };
    await this.#wait("the group to come to rest", isQuiet, () => missing.join("; "));
  }

  /** When nobody is at the instance any more, and everybody is answered. @throws Error with who is not. */
  async left({ name }: Target): Promise<void> {
    let there: readonly string[] = [];
    const isLeft = async () => {
      const devices = await this.lab.listDevices();
      there = devices.flatMap(({ session, ...device }) => (isThere(session, name) ? device.name : []));
      return there.length === 0 && this.load.silent(silentMs).length === 0;
    };
    const unserved = () =>
      [...there.map((device) => `${device} is at ${name}`), ...this.#unanswered()].join("; ");
    await this.#wait(`${name} to be left`, isLeft, unserved);
  }

  /** When an agent says so of its link to the controller. */
  async link({ instance, name }: Target, state: "open" | "waiting"): Promise<void> {
    const client = new AgentClient(instance.socket);
    const isSo = async () => {
      const status = await client.read("status", 1_000);
      return status.ok && status.value.link.state === state;
    };
    await this.#wait(`${name}'s link to be ${state}`, isSo, () => "");
  }

  /** When the rolling restart has gone through all instances. @throws Error with where it stands or stopped. */
  async restarted(): Promise<void> {
    let steps = "";
    const isDone = async () => {
      const asked = { params: { connector: connectorName } };
      const restart = await this.lab.controller.admin.call("connector.restart.show", asked);
      steps = restart.steps.map(({ instance, state, why }) => `${instance} ${state} ${why ?? ""}`).join(", ");
      return restart.state === "done";
    };
    await this.#wait("the rolling restart", isDone, () => steps);
  }

  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.signal });
  }

  async #missing(): Promise<string[]> {
    const [lacks, instances, devices] = await Promise.all([
      this.lab.lacks(),
      this.lab.listInstances(),
      this.lab.listDevices(),
    ]);
    return [
      ...lacks.map(({ text }) => text),
      ...instances.flatMap(notServing),
      ...devices.flatMap(notWell),
      ...this.#unanswered(),
    ];
  }

  #unanswered(): string[] {
    return this.load.silent(silentMs).map((device) => `${device} gets no answers`);
  }

  async #wait(what: string, isSo: () => Promise<boolean>, whyNot: () => string): Promise<void> {
    try {
      await waitFor(what, patienceMs, isSo, this.signal);
    } catch (error) {
      this.signal.throwIfAborted();
      throw new Error(`${(error as Error).message}: ${whyNot()}`, { cause: error });
    }
  }
}

function isThere(session: DeviceView["session"], name: string): boolean {
  return session?.state !== "attached" || session.instance === name || session.leaving?.instance === name;
}

function notServing({ name, judgement }: InstanceView): string[] {
  return judgement.is === "serving" ? [] : [`${name} is ${judgement.is}: ${judgement.why}`];
}

function notWell({ name, session, path }: DeviceView): string[] {
  if (session !== null && session.leaving !== null)
    return [`${name} is on its way from ${session.leaving.instance}`];
  return path?.verdict === "alive" ? [] : [`${name} says ${path?.verdict ?? "nothing"} of its path`];
}
