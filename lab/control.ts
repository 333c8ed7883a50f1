import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import yargs from "yargs";
import { exitCodes } from "../protocol/node/text.ts";
import { faultNames, type Play } from "./play.ts";
import type { Played } from "./play-server.ts";
import { runningLabs } from "./run-folder.ts";

/** `npm run -s lab -- …`: what one can do to the lab that runs. */
let play: Play | undefined;
const choose = (chosen: Play) => {
  play = chosen;
};

const instance = { type: "number", demandOption: true, describe: "1, 2, 3 …" } as const;
const prefix = { type: "string", demandOption: true, describe: "a /28 or /80" } as const;
const name = { type: "string", demandOption: true, describe: "as `list` has it" } as const;

const args = await yargs(process.argv.slice(2))
  .scriptName("lab")
  .usage(
    "npm run -s lab -- COMMAND\n\nPlays AWS on the lab that runs, cuts its cables, lets its processes die.",
  )
  .command(
    "assign <instance> <prefix>",
    "AWS assigns a prefix to an instance",
    (command) => command.positional("instance", instance).positional("prefix", prefix),
    (given) => choose({ play: "assign", ...given }),
  )
  .command(
    "unassign <instance> <prefix>",
    "AWS takes a prefix away",
    (command) => command.positional("instance", instance).positional("prefix", prefix),
    (given) => choose({ play: "unassign", ...given }),
  )
  .command(
    "fault <instance> <fault>",
    "The metadata service misbehaves",
    (command) =>
      command
        .positional("instance", instance)
        .positional("fault", { choices: faultNames, demandOption: true })
        .option("seconds", { type: "number", describe: "for so long; until `clear` when not given" }),
    ({ instance, fault, seconds }) =>
      choose({ play: "fault", instance, fault, ...(seconds === undefined ? {} : { seconds }) }),
  )
  .command(
    "clear <instance>",
    "The metadata service is well again",
    (command) => command.positional("instance", instance),
    (given) => choose({ play: "clear", ...given }),
  )
  .command(
    "spot <instance> <action>",
    "AWS gives two minutes' notice, or takes it back",
    (command) =>
      command.positional("instance", instance).positional("action", {
        choices: ["terminate", "stop", "hibernate", "none"] as const,
        demandOption: true,
      }),
    (given) => choose({ play: "spot", ...given }),
  )
  .command(
    "rebalance <instance> <state>",
    "AWS recommends to leave the instance",
    (command) =>
      command
        .positional("instance", instance)
        .positional("state", { choices: ["on", "off"] as const, demandOption: true }),
    ({ instance, state }) => choose({ play: "rebalance", instance, recommended: state === "on" }),
  )
  .command(
    "kill <name>",
    "kill -9 a process; it is started again",
    (command) => command.positional("name", name),
    (given) => choose({ play: "kill", process: given.name }),
  )
  .command(
    "stop <name>",
    "Stop a process and leave it down",
    (command) => command.positional("name", name),
    (given) => choose({ play: "stop", process: given.name }),
  )
  .command(
    "start <name>",
    "Start it again",
    (command) => command.positional("name", name),
    (given) => choose({ play: "start", process: given.name }),
  )
  .command(
    "unplug <name>",
    "Cut the cable of an agent's or a device's machine",
    (command) => command.positional("name", name),
    (given) => choose({ play: "unplug", host: given.name }),
  )
  .command(
    "plug <name>",
    "Mend it",
    (command) => command.positional("name", name),
    (given) => choose({ play: "plug", host: given.name }),
  )
  .command(
    "ask <name> <url>",
    "Let a device ask for a page",
    (command) =>
      command
        .positional("name", name)
        .positional("url", { type: "string", demandOption: true, describe: "http://web.corp.internal/" })
        .option("ipv6", { alias: "6", type: "boolean", default: false, describe: "over IPv6" }),
    (given) => choose({ play: "ask", host: given.name, url: given.url, family: given.ipv6 ? 6 : 4 }),
  )
  .command("list", "The processes, with their logs", {}, () => choose({ play: "list" }))
  .option("lab", { type: "string", describe: "The lab's run folder [env: LAB, else the newest that runs]" })
  .example("$0 unassign 1 172.18.128.16/28", "lose a prefix that has leases in it")
  .example("$0 fault 2 black-hole --seconds 30", "the metadata service does not answer")
  .example("$0 stop controller", "who notices?")
  .example("$0 unplug agent-1", "a silent death: its devices notice")
  .demandCommand(1, "Name a command.")
  .strict()
  .parseAsync();

if (play !== undefined) {
  const folder = args.lab ?? process.env.LAB ?? runningLabs()[0];
  if (folder === undefined) {
    process.stderr.write("No lab runs here. Start one: npm start\n");
    process.exitCode = exitCodes.cannotTell;
  } else {
    const { ok, text } = await ask(join(folder, "lab.sock"), play);
    (ok ? process.stdout : process.stderr).write(`${text}\n`);
    process.exitCode = ok ? exitCodes.fine : exitCodes.failed;
  }
}

async function ask(path: string, what: Play): Promise<Played> {
  const socket = connect(path);
  const lines = createInterface(socket);
  socket.write(`${JSON.stringify(what)}\n`);
  return await new Promise((resolve) => {
    const fail = (why: string) => resolve({ ok: false, text: `No answer of the lab in ${path}: ${why}` });
    // The reader of lines repeats the errors of its socket.
    lines.on("error", (error) => fail(error.message)).on("close", () => fail("it has ended"));
    lines.once("line", (line) => resolve(JSON.parse(line) as Played));
  });
}
