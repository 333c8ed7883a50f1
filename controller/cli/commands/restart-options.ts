import type { Argv } from "yargs";

export function restartOptions<T>(argv: Argv<T>) {
  return argv
    .option("min-active", {
      type: "number",
      requiresArg: true,
      describe: "So many stay Active meanwhile [one less than are, at least 1]",
    })
    .option("wait", { type: "boolean", default: false, describe: "Print each step and wait for the end" })
    .option("show", {
      type: "boolean",
      describe: "Begin nothing: show how far it is, or how the last one ended",
    })
    .option("cancel", {
      type: "boolean",
      describe: "Cancel the one that runs: its drain ends, the other instances stay untouched",
    })
    .conflicts("show", ["cancel", "min-active"])
    .conflicts("cancel", "min-active")
    .example("$0 connector restart prod --wait", "after an upgrade of the package")
    .example("$0 connector restart prod --min-active 6", "begins with no instance while fewer would stay")
    .example("$0 connector restart prod --show --wait", "follow one that runs")
    .epilogue(
      "Users are moved before their instance restarts, and back by nobody. It stops at the first instance that cannot be " +
        "emptied or does not come back. Exit code 0: done, or without --wait: begun, shown, cancelled. 1: refused; with " +
        "--wait: stopped, cancelled, or nobody waits any more, and it goes on by itself. 2: no controller answers.",
    );
}
