import yargs, { type Argv } from "yargs";
import { type Result, success } from "../../protocol/failures.ts";
import { softwareVersion } from "../../protocol/node/software.ts";
import { exitCodes, nearest } from "../../protocol/node/text.ts";
import { defaultSocket, type Read, type Reads } from "../core/local-api.ts";
import { AgentClient } from "./client.ts";
import { askOptions, filterOptions, outputOptions, watchOption } from "./options.ts";
import type { Report } from "./page.ts";
import { type ShowOptions, show } from "./show.ts";
import type { World } from "./world.ts";

/**
 * Reads the command line, runs what it names and returns the exit code. yargs only parses; what a command needs is
 * loaded when it is the one to run.
 */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  let run: (() => Promise<number>) | undefined;
  let parsed: number = exitCodes.fine;
  const parser = program(world, (chosen) => {
    run = chosen;
  });
  await parser.parseAsync([...args], {}, (error: Error | undefined, _argv: unknown, output: string) => {
    if (!error && output === "") return;
    run = undefined;
    if (!error) return world.print(`${output}\n`);
    parsed = exitCodes.usage;
    world.complain(usageError(error.message, args));
  });
  return (await run?.()) ?? parsed;
}

function usageError(message: string, [command = ""]: readonly string[]): string {
  const known = commandNames.includes(command);
  const guess = known ? undefined : nearest(command, commandNames);
  const help = `See \`connector ${known ? `${command} ` : ""}--help\`.`;
  return `connector: ${message}\n${guess === undefined ? "" : `Did you mean \`connector ${guess}\`? `}${help}\n`;
}

const commandNames = [
  "status",
  "pools",
  "leases",
  "prefixes",
  "sessions",
  "check",
  "drain",
  "resume",
  "support-bundle",
  "completion",
];

type Choose = (run: () => Promise<number>) => void;

function program(world: World, choose: Choose): Argv {
  const base = yargs([])
    .scriptName("connector")
    .usage("$0 COMMAND\n\nReads and steers the agent of this connector instance.")
    .strict()
    .demandCommand(1, "name a command")
    .exitProcess(false)
    .version(`connector ${softwareVersion}`)
    .help()
    .alias("help", "h")
    .wrap(Math.min(80, world.screen()?.columns ?? 80))
    .epilogue(
      "Exit codes: 0 fine, 1 degraded, 2 cannot tell (no agent answers), 64 wrong usage.\nText fits the terminal; in a pipe every value is whole, one row a line.",
    );
  return withCompletion(withTools(withActions(withViews(base, world, choose), world, choose), world, choose));
}

function withViews(argv: Argv, world: World, choose: Choose): Argv {
  return argv
    .command(
      "status",
      "How this instance is, why, and what to do next",
      (y) =>
        watchOption(askOptions(y, world.env))
          .example("$0 status", "one look")
          .example("$0 status --watch", "a look every 2 seconds")
          .example("$0 status -o json | jq .status", "for programs")
          .epilogue("Exit code 1: the status is not Active, or a condition is worse than info."),
      (o) =>
        choose(async () => {
          const { statusReport } = await import("./views/status.ts");
          return await show(reader(o.socket, "status", statusReport), shown(o), world);
        }),
    )
    .command(
      "pools",
      "How full each pool is",
      (y) =>
        watchOption(askOptions(y, world.env))
          .option("pool", { type: "string", requiresArg: true, describe: "Only this pool" })
          .example("$0 pools", "all pools")
          .epilogue("Exit code 1: a pool has no free address, or a range that is not verified."),
      (o) =>
        choose(async () => {
          const { poolsReport } = await import("./views/pools.ts");
          return await show(
            reader(o.socket, "pools", (pools) => poolsReport(pools, o.pool)),
            shown(o),
            world,
          );
        }),
    )
    .command(
      "leases",
      "Who holds which address, and for how long",
      (y) =>
        filterOptions(watchOption(askOptions(y, world.env)), ["leased", "cooling", "quarantined"])
          .example("$0 leases --pool Pool1 --state cooling", "addresses that rest")
          .example("$0 leases | grep 172.18.128.180", "who has this address")
          .epilogue(
            "leased: a session uses it, or its device is away. cooling: rests before it is free. quarantined: AWS does not route it here.",
          ),
      (o) =>
        choose(async () => {
          const { leasesReport } = await import("./views/leases.ts");
          return await show(
            reader(o.socket, "leases", (leases) => leasesReport(leases, o)),
            shown(o),
            world,
          );
        }),
    )
    .command(
      "sessions",
      "Who is served here, and why somebody is not",
      (y) =>
        filterOptions(watchOption(askOptions(y, world.env)), ["granting", "granted", "refused", "ended"])
          .example("$0 sessions --user alice", "one user's sessions")
          .example("$0 sessions --state refused", "who is not served, and why"),
      (o) =>
        choose(async () => {
          const { sessionsReport } = await import("./views/sessions.ts");
          return await show(
            reader(o.socket, "sessions", (all) => sessionsReport(all, o)),
            shown(o),
            world,
          );
        }),
    )
    .command(
      "prefixes",
      "Compare controller, AWS and kernel, prefix by prefix",
      (y) =>
        watchOption(askOptions(y, world.env))
          .option("refresh", { type: "boolean", default: false, describe: "Read the metadata service first" })
          .example("$0 prefixes --refresh", "after an assignment in EC2")
          .epilogue("Exit code 1: a prefix needs attention."),
      (o) =>
        choose(async () => {
          const { prefixesReport } = await import("./views/prefixes.ts");
          const look = reader(o.socket, "prefixes", prefixesReport);
          const ask = o.refresh ? afterRefresh(o.socket, look) : look;
          return await show(ask, shown(o), world);
        }),
    );
}

function withActions(argv: Argv, world: World, choose: Choose): Argv {
  const act = (asked: "drain" | "resume", o: AskOptions) => async () => {
    const { drainReport } = await import("./views/drain.ts");
    const ask = async () =>
      mapped(await new AgentClient(o.socket).act(asked), (status) => drainReport(asked, status));
    return await show(ask, shown(o), world);
  };
  return argv
    .command(
      "drain",
      "Take no new sessions",
      (y) => askOptions(y, world.env).example("$0 drain", "before maintenance; `resume` ends it"),
      (o) => choose(act("drain", o)),
    )
    .command(
      "resume",
      "End a drain that was started by hand",
      (y) =>
        askOptions(y, world.env)
          .example("$0 resume", "take new sessions again")
          .epilogue("Exit code 1: something else still drains the instance; it is named."),
      (o) => choose(act("resume", o)),
    );
}

function withTools(argv: Argv, world: World, choose: Choose): Argv {
  return argv
    .command(
      "check",
      "Look at the host and the way to the controller, without the agent",
      (y) =>
        hostOptions(outputOptions(y))
          .example("sudo $0 check", "everything; some files are root's")
          .epilogue("Exit code 1: a line says FAIL or warn."),
      (o) =>
        choose(async () => {
          const { checkHost } = await import("./check/main.ts");
          const host = { parameters: o.parameters, stateDir: o.stateDir, env: world.env };
          return await show(async () => success(await checkHost(host)), shown(o), world);
        }),
    )
    .command(
      "support-bundle",
      "Gather what support needs, without secrets",
      (y) =>
        hostOptions(askOptions(y, world.env))
          .option("out", {
            type: "string",
            requiresArg: true,
            describe: "File to write [connector-….tar.gz]",
          })
          .option("anonymise", { type: "boolean", default: false, describe: "Replace users' names" })
          .example("sudo $0 support-bundle --anonymise", "to send to somebody else")
          .epilogue(
            "Keys and one-time passwords are never in it. Exit code 1: a part could not be gathered.",
          ),
      (o) =>
        choose(async () => {
          const { supportBundle } = await import("./bundle/main.ts");
          return await show(() => supportBundle(o, world), shown(o), world);
        }),
    );
}

function hostOptions<T>(argv: Argv<T>) {
  return argv
    .option("parameters", {
      type: "string",
      requiresArg: true,
      default: "/run/connector-boot/enroll.yaml",
      describe: "The parameter file",
    })
    .option("state-dir", {
      type: "string",
      requiresArg: true,
      default: "/var/lib/connector",
      describe: "The agent's state directory",
    });
}

/** The script is yargs' own, for the shell in $SHELL; the names of pools come from the agent. */
function withCompletion(argv: Argv): Argv {
  type Done = (completions: readonly string[]) => void;
  const complete = (_current: string, o: { socket?: string }, useDefault: () => void, done: Done) => {
    if (process.argv.at(-2) !== "--pool") return useDefault();
    new AgentClient(o.socket ?? process.env.CONNECTOR_SOCKET ?? defaultSocket)
      .read("pools", 500)
      .then((pools) => done(pools.ok ? pools.value.map(({ name }) => name) : []));
  };
  // The types of yargs know this form of the function under another name only.
  return argv.completion("completion", "Print the completion script of your shell", complete as never);
}

interface AskOptions extends Omit<ShowOptions, "watch"> {
  readonly socket: string;
}

function shown(o: Omit<ShowOptions, "watch"> & { readonly watch?: number | undefined }): ShowOptions {
  return { output: o.output, color: o.color, watch: o.watch };
}

function reader<R extends Read>(socket: string, route: R, report: (value: Reads[R]) => Report) {
  const client = new AgentClient(socket);
  return async () => mapped(await client.read(route), report);
}

function afterRefresh(socket: string, look: () => Promise<Result<Report>>) {
  return async () => {
    const refreshed = await new AgentClient(socket).act("verify");
    return refreshed.ok ? await look() : refreshed;
  };
}

function mapped<T, U>(result: Result<T>, change: (value: T) => U): Result<U> {
  return result.ok ? success(change(result.value)) : result;
}
