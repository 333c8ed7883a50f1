#!/usr/bin/env node
import { existsSync } from "node:fs";
import yargs from "yargs";
import { Failure, failureEntry } from "../protocol/failures.ts";
import { createLogger } from "../protocol/node/log.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import { exitCodes } from "../protocol/node/text.ts";
import { StateFile } from "./adapters/state-file.ts";
import { UserFiles } from "./adapters/user-files.ts";
import type { TunnelChoice } from "./carrier.ts";
import type { Wants } from "./core/attachment.ts";
import { type DeviceOptions, startDevice } from "./device.ts";
import { leaveTunnel } from "./leave-tunnel.ts";
import { chooseTunnel, runOptions, stateDirOption } from "./options.ts";
import { statusExitCode, statusText } from "./status.ts";
import { readTunnel } from "./tunnel-view.ts";

await yargs(process.argv.slice(2))
  .scriptName("connector-device")
  .usage("$0 COMMAND\n\nThe reference user agent: joins with a code and keeps its place in the group.")
  .command("run", "Join if need be, attach, and stay attached", runOptions, (args) => {
    const log = createLogger({ name: "connector-device", level: args.verbose ? "debug" : "info" });
    run(() => ({ ...args, stateFolder: args.stateDir, tunnel: chooseTunnel(args), log }), log);
  })
  .command(
    "status",
    "Show membership, attachment, tunnel, last refusal",
    (command) =>
      command
        .option("state-dir", stateDirOption)
        .option("output", { alias: "o", choices: ["text", "json"] as const, default: "text" }),
    ({ stateDir, output }) => status(stateDir, output === "json"),
  )
  .command(
    "logout",
    "Detach and stay detached: the tunnel goes, within a second where the device runs",
    (command) => command.option("state-dir", stateDirOption),
    async ({ stateDir }) => {
      want(stateDir, "detached");
      const left = await leaveTunnel(stateDir);
      if (left.ok) return;
      process.stderr.write(
        `Logged out, but the tunnel is still up: ${left.failure.message}.\n${left.failure.hint}\n`,
      );
      process.exitCode = exitCodes.failed;
    },
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

function run(read: () => DeviceOptions, log: DeviceOptions["log"]): void {
  // What SIGHUP does now. Heard from the start: without a handler, it ends the process.
  let retry = () => {};
  process.on("SIGHUP", () => retry());
  try {
    const options = read();
    const device = startDevice(options);
    tellTunnel(options.tunnel, log);
    retry = () => device.retry();
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        log.info({ signal }, "stopping; the attachment and the tunnel are kept");
        device[Symbol.dispose]();
      });
    }
  } catch (error) {
    const { message, path } = error as NodeJS.ErrnoException;
    const why = error instanceof Failure ? { code: error.code, hint: error.hint } : { file: path };
    log.fatal({ ...why, problem: message }, "cannot start");
    process.exitCode = exitCodes.configuration;
  }
}

function tellTunnel(choice: TunnelChoice, log: DeviceOptions["log"]): void {
  if (choice.is === "on") {
    const { names, interface: name } = choice;
    log.info({ interface: name, names: names.kind }, "the tunnel is on");
    if (names.kind === "none") log.info("the host's name servers are left alone: services by address only");
  } else if (choice.why === null) {
    log.info("the tunnel is off");
  } else {
    const { summary, hint } = failureEntry(choice.why);
    log.warn({ code: choice.why, hint }, summary);
  }
}

async function status(stateFolder: string, asJson: boolean): Promise<void> {
  const state = new StateFile(stateFolder).read();
  const wants = new UserFiles(stateFolder, undefined).readWants();
  if (!existsSync(stateFolder) || !state.ok) {
    const why = state.ok ? `There is no device in ${stateFolder}` : state.failure.message;
    process.stderr.write(`${why}\n`);
    process.exitCode = exitCodes.cannotTell;
    return;
  }
  const tunnel = await readTunnel(stateFolder);
  const shown = asJson
    ? JSON.stringify({ ...state.value, wants, tunnel: tunnel ?? null }, undefined, 2)
    : statusText(state.value, wants, tunnel);
  process.stdout.write(`${shown}\n`);
  process.exitCode = statusExitCode(state.value, wants, tunnel);
}

function want(stateFolder: string, wants: Wants): void {
  if (!existsSync(stateFolder)) {
    process.stderr.write(`There is no device in ${stateFolder}\n`);
    process.exitCode = exitCodes.cannotTell;
    return;
  }
  new UserFiles(stateFolder, undefined).writeWants(wants);
}
