import type { Argv } from "yargs";
import { type Result, success } from "../../protocol/failures.ts";
import { defaultParametersFile } from "../adapters/parameter-files.ts";
import { defaultSocket } from "../core/local-api.ts";
import type { ShowOptions } from "./show.ts";

export interface AskOptions extends Omit<ShowOptions, "watch"> {
  readonly socket: string;
}

/** What every command that asks the agent takes. */
export function askOptions<T>(argv: Argv<T>, env: Readonly<Record<string, string | undefined>>) {
  return outputOptions(argv).option("socket", {
    type: "string",
    requiresArg: true,
    default: env.CONNECTOR_SOCKET || defaultSocket,
    describe: "The agent's socket [env: CONNECTOR_SOCKET]",
  });
}

export function outputOptions<T>(argv: Argv<T>) {
  return argv
    .option("output", {
      alias: "o",
      choices: ["text", "json"] as const,
      default: "text" as const,
      requiresArg: true,
      describe: "For people or for programs",
    })
    .option("color", {
      choices: ["auto", "never"] as const,
      default: "auto" as const,
      requiresArg: true,
      describe: "auto: on a terminal, unless NO_COLOR is set",
    });
}

export function watchOption<T>(argv: Argv<T>) {
  return argv.option("watch", {
    type: "string",
    describe: "Look again every so many seconds (2) until Ctrl-C",
    coerce: watchSeconds,
  });
}

/** What these options are for the command, they are not for the commands under it. */
export function notInherited<T>(argv: Argv<T>): Argv<T> {
  for (const name of ["output", "color", "socket", "watch", "refresh"]) argv.option(name, { global: false });
  return argv;
}

/** `--watch` alone means 2 s. */
function watchSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = text === "" ? 2 : Number(text);
  if (seconds >= 0.2 && seconds <= 3600) return seconds;
  throw new Error(`--watch takes seconds from 0.2 to 3600, not ${text}`);
}

export function filterOptions<T>(argv: Argv<T>, states: readonly string[]) {
  return argv
    .option("pool", { type: "string", requiresArg: true, describe: "Only this pool" })
    .option("device", { type: "string", requiresArg: true, describe: "Only ids that begin like this" })
    .option("user", { type: "string", requiresArg: true, describe: "Only this user" })
    .option("state", { choices: states, requiresArg: true, describe: "Only this state" });
}

export function hostOptions<T>(argv: Argv<T>) {
  return argv
    .option("parameters", {
      type: "string",
      requiresArg: true,
      default: defaultParametersFile(),
      describe: "The parameter file",
    })
    .option("state-dir", {
      type: "string",
      requiresArg: true,
      default: "/var/lib/connector",
      describe: "The agent's state directory",
    });
}

export function shown(o: Omit<ShowOptions, "watch"> & { readonly watch?: number | undefined }): ShowOptions {
  return { output: o.output, color: o.color, watch: o.watch };
}

export function mapped<T, U>(result: Result<T>, change: (value: T) => U): Result<U> {
  return result.ok ? success(change(result.value)) : result;
}
