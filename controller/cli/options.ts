import type { Argv } from "yargs";
import type { World } from "../../protocol/node/world.ts";

/** What a command is defined with: its surroundings, and where it hands over what shall run. */
export interface Cli {
  readonly world: World;
  readonly choose: (run: () => Promise<number>) => void;
}

/** What every command that asks the controller takes. */
export function askOptions<T>(argv: Argv<T>) {
  return outputOption(argv)
    .option("controller", {
      type: "string",
      requiresArg: true,
      describe: "The controller's URL [env: CONNECTOR_URL]",
    })
    .option("ca-file", {
      type: "string",
      requiresArg: true,
      describe: "CA certificate to trust, PEM [env: CONNECTOR_CA_FILE]",
    })
    .option("token-file", {
      type: "string",
      requiresArg: true,
      describe:
        "File with the admin token [env: CONNECTOR_ADMIN_TOKEN_FILE, or the token in CONNECTOR_ADMIN_TOKEN]",
    });
}

export function outputOption<T>(argv: Argv<T>) {
  return argv.option("output", {
    alias: "o",
    choices: ["text", "json"] as const,
    default: "text" as const,
    requiresArg: true,
    describe: "For people or for programs",
  });
}

export function watchOption<T>(argv: Argv<T>) {
  return argv.option("watch", {
    type: "string",
    describe: "Look again every so many seconds (2) until Ctrl-C",
    coerce: watchSeconds,
  });
}

/** For commands that answer with a secret, which is shown this once. */
export function secretOptions<T>(argv: Argv<T>) {
  return argv
    .option("out", {
      type: "string",
      requiresArg: true,
      describe: "Write the secret to this new file (0600) and do not print it",
    })
    .option("quiet", {
      alias: "q",
      type: "boolean",
      describe: "Print the secret and nothing else",
    })
    .conflicts("out", "quiet");
}

export function lifeOption<T>(argv: Argv<T>) {
  return argv.option("life-minutes", {
    type: "number",
    requiresArg: true,
    describe: "How long it can be used [1440: a day]",
  });
}

/** For a drain that somebody waits for. */
export function drainOptions<T>(argv: Argv<T>) {
  return argv
    .option("wait", { type: "boolean", default: false, describe: "Wait until nobody is left" })
    .option("deadline", {
      type: "string",
      requiresArg: true,
      describe: "Seconds to wait, with --wait",
      coerce: deadlineSeconds,
    });
}

/** A positional argument that must be there. */
export function name<T, Key extends string>(argv: Argv<T>, key: Key, describe: string) {
  return argv.positional(key, { type: "string", demandOption: true, describe });
}

const deadlineSecondsMax = 30 * 86_400;

function deadlineSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= deadlineSecondsMax) return seconds;
  throw new Error(`--deadline takes whole seconds from 1 to ${deadlineSecondsMax}, not ${text}`);
}

/** `--watch` alone means 2 s. */
function watchSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = text === "" ? 2 : Number(text);
  if (seconds >= 0.2 && seconds <= 3600) return seconds;
  throw new Error(`--watch takes seconds from 0.2 to 3600, not ${text}`);
}
