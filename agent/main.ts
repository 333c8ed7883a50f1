#!/usr/bin/env node
import yargs from "yargs";
import { Failure } from "../protocol/failures.ts";
import { systemClock } from "../protocol/node/clock.ts";
import { createLogger } from "../protocol/node/log.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import { exitCodes } from "../protocol/node/text.ts";
import { defaultParametersFile, loadParameters } from "./adapters/parameters.ts";
import { startAgent } from "./agent.ts";
import { defaultSocket } from "./core/local-api.ts";

const options = await yargs(process.argv.slice(2))
  .scriptName("connector-agent")
  .usage("$0 [options]\n\nThe daemon of one connector instance: enrols, verifies prefixes, leases addresses.")
  .option("parameters", { type: "string", default: defaultParametersFile, describe: "parameter file (YAML)" })
  .option("state-dir", { type: "string", default: "/var/lib/connector", describe: "identity and leases" })
  .option("socket", { type: "string", default: defaultSocket, describe: "Unix socket for `connector`" })
  .example("$0", "run with the files that cloud-init wrote")
  .example("$0 --parameters ./enroll.yaml --state-dir ./state --socket ./agent.sock", "run from here")
  .epilogue("SIGHUP reads the parameters and the OTP again. Exit code 78: the parameters are wrong.")
  .version(`connector-agent ${softwareVersion}`)
  .strict()
  .parse();

const { env } = process;
const stop = Promise.withResolvers<"stop">();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.resolve("stop"));

/** Runs one agent after the other: a copied disk or changed parameters end one and begin the next. */
async function run(): Promise<void> {
  for (;;) {
    const loaded = loadParameters(options.parameters, env);
    const log = createLogger({ name: "agent", level: loaded.ok ? loaded.value.logLevel : "info" });
    if (!loaded.ok) {
      for (const problem of loaded.problems)
        log.error({ code: "parameters.invalid", ...problem }, "a parameter is wrong");
      process.exitCode = exitCodes.configuration;
      return;
    }
    const parameters = loaded.value;
    log.info(
      { version: softwareVersion, controller: parameters.controller, ip: parameters.ip },
      "the agent starts",
    );
    const { stateDir, socket } = options;
    await using agent = await startAgent({ parameters, stateDir, socket, env, log, clock: systemClock });
    const changed = Promise.withResolvers<"changed">();
    const reread = () => {
      const again = loadParameters(options.parameters, env);
      if (!again.ok) {
        for (const problem of again.problems)
          log.warn(problem, "a parameter is wrong; the ones of before stay in force");
      } else if (JSON.stringify(again.value) === JSON.stringify(parameters)) agent.reload();
      else changed.resolve("changed");
    };
    process.on("SIGHUP", reread);
    const why = await Promise.race([stop.promise, agent.over, changed.promise]);
    process.off("SIGHUP", reread);
    log.info({ why }, "the agent ends");
    if (why === "stop") return;
  }
}

try {
  await run();
} catch (error) {
  const log = createLogger({ name: "agent", level: "info" });
  if (!(error instanceof Failure)) throw error;
  log.error({ code: error.code, ...error.facts, hint: error.hint }, error.message);
  process.exitCode = exitCodes.failed;
}
// Whatever still holds the process open has been told to end; it gets a moment.
setTimeout(() => process.exit(), 2_000).unref();
