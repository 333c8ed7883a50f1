import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { StatusView } from "../../protocol/view.ts";
import type { LogLine } from "../support/log.ts";
import { until } from "../support/until.ts";

const main = join(import.meta.dirname, "../../agent/main.ts");
/** When to give up waiting for a process that may have to start first; a busy machine takes its time for that. */
const startsWithinMs = 25_000;

/** The files and the environment of one instance, and the agent process on them. */
export class AgentProcess {
  readonly stateDir: string;
  readonly socket: string;
  readonly otpFile: string;
  readonly parametersFile: string;
  readonly env: Record<string, string>;
  readonly #uid: number | undefined;
  #child: ChildProcess | undefined;
  #text = "";
  #exit: Promise<number | NodeJS.Signals> = Promise.resolve(0);

  constructor(
    folder: string,
    options: { controller: string; imds: string; otp?: string; yaml?: string; uid?: number | undefined },
  ) {
    mkdirSync(folder, { recursive: true });
    this.#uid = options.uid;
    if (options.uid !== undefined) chownSync(folder, options.uid, options.uid);
    this.stateDir = join(folder, "state");
    this.socket = join(folder, "agent.sock");
    this.otpFile = join(folder, "connector.otp");
    this.parametersFile = join(folder, "enroll.yaml");
    const lines = [
      `controller: ${options.controller}`,
      "ip: 172.18.139.4",
      "gateway: 172.18.128.1",
      `otpFile: ${this.otpFile}`,
      "health: off",
    ];
    writeFileSync(this.parametersFile, options.yaml ?? `${lines.join("\n")}\n`);
    if (options.otp !== undefined) writeFileSync(this.otpFile, `${options.otp}\n`, { mode: 0o600 });
    this.env = {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: options.imds,
      CONNECTOR_INTERFACE: "imds",
      CONNECTOR_DATAPATH: "record",
    };
  }

  /** Starts the process; a line of level error fails the test unless it is expected. */
  start(options: { errors?: "expected" } = {}): this {
    this.#text = "";
    const files = [
      "--parameters",
      this.parametersFile,
      "--state-dir",
      this.stateDir,
      "--socket",
      this.socket,
    ];
    const child = spawn(process.execPath, [main, ...files], {
      env: { ...this.env, PATH: process.env.PATH },
      stdio: ["ignore", "pipe", "pipe"],
      ...(this.#uid === undefined ? {} : { uid: this.#uid, gid: this.#uid }),
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#text += text;
      });
    }
    this.#exit = new Promise((resolve) =>
      child.once("close", (code, signal) => resolve(signal ?? code ?? 0)),
    );
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await this.#exit;
      const errors = this.lines.filter(({ level }) => level === "error");
      if (errors.length > 0 && options.errors !== "expected") {
        throw new Error(`lines of level error:\n${errors.map((line) => JSON.stringify(line)).join("\n")}`);
      }
    });
    return this;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Everything it printed. */
  get text(): string {
    return this.#text;
  }

  get lines(): LogLine[] {
    const json = this.#text.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"));
    return json.map((line) => JSON.parse(line) as LogLine);
  }

  signal(signal: NodeJS.Signals): this {
    this.#child?.kill(signal);
    return this;
  }

  exited(): Promise<number | NodeJS.Signals> {
    return this.#exit;
  }

  async status(): Promise<StatusView | undefined> {
    return (await this.ask("GET", "/v1/status")) as StatusView | undefined;
  }

  reaches(status: StatusView["status"]): Promise<StatusView> {
    const reached = async () => {
      const view = await this.status();
      return view?.status === status ? view : undefined;
    };
    return until(`status ${status}`, reached, startsWithinMs);
  }

  shows(code: string): Promise<StatusView["conditions"][number]> {
    const shown = async () => (await this.status())?.conditions.find((c) => c.code === code);
    return until(`condition ${code}`, shown, startsWithinMs);
  }

  /** Undefined when nobody listens. */
  ask(method: string, path: string): Promise<unknown> {
    return new Promise((resolve) => {
      const outgoing = request({ socketPath: this.socket, method, path, agent: false }, (incoming) => {
        let body = "";
        incoming.setEncoding("utf8").on("data", (text: string) => {
          body += text;
        });
        incoming.on("end", () => resolve(JSON.parse(body)));
      });
      outgoing.on("error", () => resolve(undefined));
      outgoing.end();
    });
  }
}
