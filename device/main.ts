#!/usr/bin/env node
import { existsSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { join } from "node:path";
import yargs from "yargs";
import { Failure } from "../protocol/failures.ts";
import { createLogger } from "../protocol/node/log.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import { exitCodes } from "../protocol/node/text.ts";
import { StateFile } from "./adapters/state-file.ts";
import { UserFiles } from "./adapters/user-files.ts";
import type { Wants } from "./core/attachment.ts";
import { type DeviceOptions, startDevice } from "./device.ts";
import { statusExitCode, statusText } from "./status.ts";

const stateDirOption = {
  type: "string",
  default: join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "connector-device"),
  describe: "where keys and state are kept",
} as const;

await yargs(process.argv.slice(2))
  .scriptName("connector-device")
  .usage("$0 COMMAND\n\nThe reference user agent: joins with a code and keeps its place in the group.")
  .command(
    "run",
    "Join if need be, attach, and stay attached",
    (command) =>
      command
        .option("controller", { type: "string", demandOption: true, describe: "URL of the controller" })
        .option("ca-file", { type: "string", describe: "PEM file of the only CAs to trust" })
        .option("state-dir", stateDirOption)
        .option("code-file", { type: "string", describe: "file with the join code; removed after joining" })
        .option("name", { type: "string", default: hostname(), describe: "name in the administrator's list" })
        .option("verbose", { alias: "v", type: "boolean", default: false, describe: "log more" })
        .example("$0 run --controller https://controller.example --code-file ./code", "")
        .check(({ controller }) => mayCarryCode(controller) || notTaken(controller)),
    (args) => {
      const log = createLogger({ name: "connector-device", level: args.verbose ? "debug" : "info" });
      run({ ...args, stateFolder: args.stateDir, log });
    },
  )
  .command(
    "status",
    "Show what is on disk: membership, attachment, last refusal",
    (command) =>
      command
        .option("state-dir", stateDirOption)
        .option("output", { alias: "o", choices: ["text", "json"] as const, default: "text" }),
    ({ stateDir, output }) => status(stateDir, output === "json"),
  )
  .command(
    "logout",
    "Detach and stay detached; a device that runs follows within a second",
    (command) => command.option("state-dir", stateDirOption),
    ({ stateDir }) => want(stateDir, "detached"),
  )
  .command(
    "login",
    "Attach again after a logout",
    (command) => command.option("state-dir", stateDirOption),
    ({ stateDir }) => want(stateDir, "attached"),
  )
  .demandCommand(1, "Name a command.")
  .strict()
  .version(softwareVersion)
  .fail((message, error, parser) => {
    if (error instanceof Error) throw error;
    process.stderr.write(`${message}\n\n`);
    parser.showHelp();
    process.exit(exitCodes.usage);
  })
  .parseAsync();

/** A join code is as good as a password: it goes over TLS, or does not leave this host. */
function mayCarryCode(controller: string): boolean {
  const url = URL.parse(controller);
  if (url === null || url.username !== "" || url.password !== "") return false;
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

function notTaken(controller: string): string {
  return `--controller takes https://HOST[:PORT], or http:// on loopback, not ${controller}`;
}

function run(options: DeviceOptions): void {
  try {
    const device = startDevice(options);
    process.on("SIGHUP", () => device.retry());
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        options.log.info({ signal }, "stopping; the attachment is kept");
        device[Symbol.dispose]();
      });
    }
  } catch (error) {
    const { message, path } = error as NodeJS.ErrnoException;
    const why = error instanceof Failure ? { code: error.code, hint: error.hint } : { file: path };
    options.log.fatal({ ...why, problem: message }, "cannot start");
    process.exitCode = exitCodes.configuration;
  }
}

function status(stateFolder: string, asJson: boolean): void {
  const state = new StateFile(stateFolder).read();
  const wants = new UserFiles(stateFolder, undefined).readWants();
  if (!existsSync(stateFolder) || !state.ok) {
    const why = state.ok ? `There is no device in ${stateFolder}` : state.failure.message;
    process.stderr.write(`${why}\n`);
    process.exitCode = exitCodes.cannotTell;
    return;
  }
  process.stdout.write(
    `${asJson ? JSON.stringify({ ...state.value, wants }, undefined, 2) : statusText(state.value, wants)}\n`,
  );
  process.exitCode = statusExitCode(state.value, wants);
}

function want(stateFolder: string, wants: Wants): void {
  if (!existsSync(stateFolder)) {
    process.stderr.write(`There is no device in ${stateFolder}\n`);
    process.exitCode = exitCodes.cannotTell;
    return;
  }
  new UserFiles(stateFolder, undefined).writeWants(wants);
}
