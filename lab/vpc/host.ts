import { commandRunner, type Run } from "../../protocol/node/command.ts";
import { programOf } from "../../protocol/node/processes.ts";
import type { Addresses } from "./addresses.ts";
import { insist, must } from "./commands.ts";
import { enterCommand } from "./enter.ts";
import type { Answer, Question } from "./questions.ts";
import type { Router, Way } from "./router.ts";
import { type Door, openDoor, programFile } from "./sockets.ts";

export interface HostOptions {
  readonly name: string;
  readonly namespace: string;
  /** Holds its /run, its /etc/resolv.conf and the logs of what runs on it. */
  readonly folder: string;
  readonly addresses: Addresses;
  readonly router: Router;
  /** The router's end of its cable. */
  readonly link: string;
}

/** A machine of the lab: a network namespace with one interface, and a /run and an /etc/resolv.conf of its own. */
export class Host implements AsyncDisposable {
  readonly name: string;
  readonly namespace: string;
  readonly folder: string;
  readonly addresses: Addresses;
  /** Runs a short command on it. */
  readonly run: Run;
  readonly #router: Router;
  readonly #link: string;
  // BOUNDED: one per port that somebody asked for.
  readonly #doors: Door[] = [];

  constructor(options: HostOptions) {
    const { namespace, folder } = options;
    this.name = options.name;
    this.namespace = namespace;
    this.folder = folder;
    this.addresses = options.addresses;
    this.#router = options.router;
    this.#link = options.link;
    this.run = commandRunner(["setpriv", "--pdeathsig", "KILL", ...enterCommand(namespace, folder)]);
  }

  /** What runs its arguments on this host, for a `Process`: the Node that runs the lab unless another is named. */
  command(program: readonly [string, ...string[]] = [process.execPath]): [string, ...string[]] {
    return [...enterCommand(this.namespace, this.folder), ...program];
  }

  /** Tries things from this host, all at once. Each has its answer, if only that there was none. */
  async ask<const Asked extends readonly Question[]>(
    ...questions: Asked
  ): Promise<{ [Index in keyof Asked]: Answer }> {
    const argv = [process.execPath, programFile("ask"), JSON.stringify(questions)];
    return JSON.parse(insist(await this.run(argv, { timeoutMs: 30_000 })));
  }

  /** A port on the machine's loopback that leads to one of this host, for the lab itself and for whoever looks. */
  async door(port: number, address = "127.0.0.1"): Promise<number> {
    const door = await openDoor(this.command(), address, port);
    this.#doors.push(door);
    return door.port;
  }

  /** Cuts its cable, one way or both: no packet passes, and nobody is told. The interface stays up. */
  async unplug(...ways: readonly Way[]): Promise<void> {
    await this.#router.cut(this.#link, ways.length === 0 ? ["from", "to"] : ways);
  }

  async plug(): Promise<void> {
    await this.#router.cut(this.#link, []);
  }

  /** The processes that run on it; only those of a program when one is named. */
  async pids(program?: string): Promise<number[]> {
    const listed = await must(["ip", "netns", "pids", this.namespace]);
    const pids = listed.split("\n").filter(Boolean).map(Number);
    return program === undefined ? pids : pids.filter((pid) => programOf(pid) === program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#doors.map((door) => door.close()));
  }
}
