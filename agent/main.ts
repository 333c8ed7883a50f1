#!/usr/bin/env node
import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { Failure } from "../protocol/failures.ts";
import { systemClock } from "../protocol/node/clock.ts";
import { createLogger } from "../protocol/node/log.ts";
import { serviceManager } from "../protocol/node/service-manager.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import { exitCodes } from "../protocol/node/text.ts";
import { removeDataPath } from "./adapters/datapath-removal.ts";
import { defaultParametersFile } from "./adapters/parameter-files.ts";
import { loadParameters } from "./adapters/parameters.ts";
import { dataPathFolderOf } from "./adapters/state-folder.ts";
import { startAgent } from "./agent.ts";
import { defaultSocket } from "./core/local-api.ts";
import type { ParameterProblem } from "./core/parameters.ts";

const help = `connector-agent [options]

The daemon of one connector instance: enrols, verifies prefixes, leases
addresses, and keeps the kernel and dnsmasq at what carries users' packets
(needs CAP_NET_ADMIN).

  --parameters FILE   parameter file, YAML      [${defaultParametersFile()}]
  --state-dir DIR     identity and leases       [/var/lib/connector]
  --socket PATH       socket for \`connector\`   [${defaultSocket}]
                      beside it: files of the resolver and of nft
  --remove-data-path  start no agent: take tunnel, routes, firewall and resolver of
                      one that is not running away from this host
  --version, --help

SIGTERM ends the process and not the instance: nobody is moved, who is connected
stays so, also after SIGKILL: the next one takes over what it finds.
SIGQUIT leaves the group for good: drains for a minute at most, says goodbye, ends.
SIGHUP reads the parameters and the OTP again.
Exit code 75: the controller wants another process in this one's place: start it
again (systemd: Restart=always). 78: the parameters are wrong.

  connector-agent --parameters ./enroll.yaml --state-dir ./state --socket ./agent.sock
`;

// The memory is the users'. A young generation of its first size saves 10 MB, and collecting early another 8 MB with
// 1,400 sessions; both cost no time that could be measured.
setFlagsFromString("--semi-space-growth-factor=1");
setFlagsFromString("--memory-saver-mode");

const options = readOptions();

const { env } = process;
const processId = randomUUID();
const manager = serviceManager(env, (error) => {
  const log = createLogger({ name: "agent", level: "info" });
  log.warn({ error: String(error).slice(0, 200) }, "systemd cannot be told how the agent is");
});
const stop = Promise.withResolvers<"stop">();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.resolve("stop"));
/** What SIGQUIT does now; asked for before the agent is up, it is done then. */
let leave = () => {};
let mustLeave = false;
process.on("SIGQUIT", () => {
  mustLeave = true;
  leave();
});
/** What SIGHUP does now; asked for while no agent is up, it is done then. Without a handler, the signal ends the process. */
let mustReread = false;
const rereadLater = () => {
  mustReread = true;
};
let reread = rereadLater;
process.on("SIGHUP", () => reread());

/** Runs one agent after the other: a copied disk or changed parameters end one and begin the next. */
async function run(): Promise<void> {
  const loaded = loadParameters(options.parameters, env);
  if (!loaded.ok) {
    await refuse(loaded.problems);
    return;
  }
  let parameters = loaded.value;
  for (;;) {
    const log = createLogger({ name: "agent", level: parameters.logLevel });
    log.info(
      { version: softwareVersion, controller: parameters.controller, ip: parameters.ip },
      "the agent starts",
    );
    const { "state-dir": stateDir, socket } = options;
    const host = { env, log, clock: systemClock, process: processId, manager };
    await using agent = await startAgent({ parameters, stateDir, socket, ...host });
    const changed = Promise.withResolvers<"changed">();
    // Those that were judged are those that the next one starts with: the file may be being written.
    let next = parameters;
    reread = () => {
      const again = loadParameters(options.parameters, env);
      if (!again.ok) {
        for (const problem of again.problems)
          log.warn(problem, "a parameter is wrong; the ones of before stay in force");
        return;
      }
      next = again.value;
      if (JSON.stringify(next) === JSON.stringify(parameters)) agent.reload();
      else changed.resolve("changed");
    };
    if (mustReread) {
      mustReread = false;
      reread();
    }
    const leaving = Promise.withResolvers<"left">();
    leave = () => {
      void agent.actions.leave();
      void agent.left.then(leaving.resolve);
    };
    if (mustLeave) leave();
    const ends = [stop.promise, agent.replaced, agent.over, changed.promise, leaving.promise] as const;
    const why = await Promise.race(ends);
    [reread, leave] = [rereadLater, () => {}];
    parameters = next;
    log.info({ why }, "the agent ends");
    if (why === "startOver" || why === "changed") continue;
    if (why === "restart") process.exitCode = exitCodes.startAgain;
    await manager?.tell({ say: "stopping", status: statuses[why] });
    return;
  }
}

async function refuse(problems: readonly ParameterProblem[]): Promise<void> {
  const log = createLogger({ name: "agent", level: "info" });
  for (const problem of problems)
    log.error({ code: "parameters.invalid", ...problem }, "a parameter is wrong");
  const [first] = problems;
  const status = `Wrong parameters: ${first?.field} ${first?.problem}; \`connector check\` lists all`;
  await manager?.tell({ say: "stopping", status });
  process.exitCode = exitCodes.configuration;
}

const statuses = {
  stop: "Stopped; whoever is connected stays so",
  left: "Has left the group",
  restart: "Ends for another to be started, as the controller wants it",
} as const;

/** For a host that is to have no agent any more. */
async function clean(): Promise<void> {
  const log = createLogger({ name: "agent", level: "info" });
  for (const { code, facts } of await removeDataPath(dataPathFolderOf(options.socket), log)) {
    log.error({ code, ...facts }, "a part of the data path could not be taken away");
    process.exitCode = exitCodes.failed;
  }
}

try {
  await (options["remove-data-path"] ? clean() : run());
} catch (error) {
  const log = createLogger({ name: "agent", level: "info" });
  if (!(error instanceof Failure)) throw error;
  log.error({ code: error.code, ...error.facts, hint: error.hint }, error.message);
  process.exitCode = exitCodes.failed;
}
// Whatever still holds the process open has been told to end; it gets a moment.
setTimeout(() => process.exit(), 2_000).unref();

/** Three options need no parser of 17 MB. */
function readOptions() {
  const text = (value: string) => ({ type: "string", default: value }) as const;
  try {
    const { values } = parseArgs({
      options: {
        parameters: text(defaultParametersFile()),
        "state-dir": text("/var/lib/connector"),
        socket: text(defaultSocket),
        "remove-data-path": { type: "boolean" },
        version: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) print(help, exitCodes.fine);
    if (values.version) print(`connector-agent ${softwareVersion}\n`, exitCodes.fine);
    return values;
  } catch (error) {
    return print(`${(error as Error).message}\n\n${help}`, exitCodes.usage);
  }
}

function print(text: string, code: number): never {
  writeSync(code === 0 ? 1 : 2, text);
  process.exit(code);
}
