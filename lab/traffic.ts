import { AgentClient } from "../agent/cli/client.ts";
import type { InstanceView } from "../controller/core/views.ts";
import type { SessionView } from "../protocol/view.ts";
import type { LabDevice } from "./device.ts";
import type { Lab } from "./lab.ts";
import { web } from "./proof.ts";
import { Asker } from "./vpc/asker.ts";
import type { Told } from "./vpc/questions.ts";
import { waitFor } from "./wait.ts";

export interface InstanceTraffic {
  readonly name: string;
  readonly sessions: number;
  /** Devices that have been heard of late. */
  readonly active: number;
  /** From its devices and to them; undefined while the agent does not say. */
  readonly rxBytes: number | undefined;
  readonly txBytes: number | undefined;
}

export interface DeviceTraffic {
  readonly name: string;
  readonly user: string;
  readonly instance: string | undefined;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** From the device and to it, since it came to this instance. */
  readonly rxBytes: number | undefined;
  readonly txBytes: number | undefined;
  /** The last answers to its requests. */
  readonly told: Readonly<Partial<Record<4 | 6, Told>>>;
}

export interface TrafficView {
  readonly instances: readonly InstanceTraffic[];
  readonly devices: readonly DeviceTraffic[];
}

/** BOUNDED: devices that are let ask; each is a process, and no screen shows more. */
const askingMax = 16;
const roundMs = 1_000;
const answerWithinMs = 2_000;

/** What flows in the lab: the agents tell bytes, and the devices, which are let ask a name once a second, who they are seen as. */
export class Traffic implements AsyncDisposable {
  readonly #lab: Lab;
  /** By name, and who asks on each; those who do not ask are shown all the same. */
  readonly #devices: readonly LabDevice[];
  readonly #askers: readonly Asking[];
  readonly #timer: NodeJS.Timeout | undefined;
  #turn = 0;

  constructor(lab: Lab) {
    this.#lab = lab;
    const inOrder = new Intl.Collator("en", { numeric: true });
    this.#devices = lab.devices.toSorted((a, b) => inOrder.compare(a.plan.name, b.plan.name));
    this.#askers = this.#devices.slice(0, askingMax).flatMap(askingOf);
    // One after the other over the second: the machine never has all of them at once.
    const count = this.#askers.length;
    if (count > 0)
      this.#timer = setInterval(() => this.#askers[this.#turn++ % count]?.next(), roundMs / count);
  }

  /** Whether any packet flows that could be shown. */
  get isThere(): boolean {
    return this.#askers.length > 0;
  }

  /** When each device that asks has had an answer over both families, or that takes too long. */
  async begun(signal: AbortSignal): Promise<void> {
    const hasBegun = () => this.#askers.every(({ told }) => told[4] !== undefined && told[6] !== undefined);
    await waitFor("the first answers", 4 * roundMs, hasBegun, signal).catch(() => undefined);
  }

  /** The instances as the controller lists them. @throws Failure of the controller. */
  async view(instances: readonly InstanceView[]): Promise<TrafficView> {
    const lab = this.#lab;
    const [devices, ...told] = await Promise.all([
      lab.listDevices(),
      ...lab.instances.map(({ socket }) => new AgentClient(socket).read("sessions", roundMs)),
    ]);
    const sessions = told.map((answer) => (answer.ok ? answer.value : []));
    // By epoch too: while a session moves, two instances know of it.
    const carried = new Map(sessions.flat().map((it) => [`${it.session} ${it.epoch}`, it]));
    const deviceByName = new Map(devices.map((device) => [device.name, device]));
    return {
      instances: lab.instances.map(({ ec2 }, i) => {
        const view = instances.find(({ providerInstanceId }) => providerInstanceId === ec2.instanceId);
        return instanceTraffic(view, sessions[i] ?? []);
      }),
      devices: this.#devices.map(({ plan }, i) => {
        const { id, epoch, instance, ipv4, ipv6 } = deviceByName.get(plan.name)?.session ?? {};
        const { rxBytes, txBytes } = carried.get(`${id} ${epoch}`) ?? {};
        return {
          name: plan.name,
          user: plan.user,
          instance: instance ?? undefined,
          ipv4: ipv4 ?? undefined,
          ipv6: ipv6 ?? undefined,
          rxBytes,
          txBytes,
          told: this.#askers[i]?.told ?? {},
        };
      }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#askers.map(({ asker }) => asker[Symbol.asyncDispose]()));
  }
}

interface Asking {
  readonly asker: Asker;
  readonly told: Partial<Record<4 | 6, Told>>;
  next(): void;
}

/** Asks over both families by turns, and not before the last answer has come. */
function askingOf({ site: { host } }: LabDevice): Asking[] {
  if (host === undefined) return [];
  const asker = new Asker(host);
  const told: Partial<Record<4 | 6, Told>> = {};
  let family: 4 | 6 = 6;
  let isAsking = false;
  const ask = async (over: 4 | 6) => {
    isAsking = true;
    told[over] = await asker.ask(web(over, answerWithinMs));
    isAsking = false;
  };
  const next = () => {
    if (isAsking) return;
    family = family === 4 ? 6 : 4;
    void ask(family);
  };
  return [{ asker, told, next }];
}

function instanceTraffic(view: InstanceView | undefined, sessions: readonly SessionView[]): InstanceTraffic {
  return {
    name: view?.name ?? "not enrolled",
    sessions: sessions.length,
    active: view?.activeAgents ?? 0,
    rxBytes: sum(sessions.map(({ rxBytes }) => rxBytes)),
    txBytes: sum(sessions.map(({ txBytes }) => txBytes)),
  };
}

function sum(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((total, value) => total + value);
}
