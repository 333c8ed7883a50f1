import type { Argv } from "yargs";
import { Failure } from "../../../protocol/failures.ts";
import { ask, misuse, watch, withClient } from "../ask.ts";
import {
  askOptions,
  type Cli,
  drainOptions,
  lifeOption,
  name,
  secretOptions,
  watchOption,
} from "../options.ts";
import { otpTable } from "../text/devices.ts";
import { instanceTable, instanceText } from "../text/instances.ts";
import { userData, userDataOptions } from "./user-data.ts";

/** `instance` and `otp`: what carries the traffic, and how it is let in. */
export function instanceCommands(argv: Argv, cli: Cli): Argv {
  return argv
    .command("instance", "Instances: list, show, pools set, drain, resume, remove", (y) => instance(y, cli))
    .command("otp", "One-time passwords for instances: create, list, revoke", (y) => otp(y, cli))
    .command(
      "user-data <connector>",
      "What cloud-init needs to make an EC2 instance one of a connector",
      (y) => userDataOptions(y),
      (o) => cli.choose(() => userData(cli.world, o)),
    );
}

function instance(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "list",
      "List the instances, as the portal does",
      (y) =>
        watchOption(askOptions(y))
          .option("connector", { type: "string", requiresArg: true, describe: "Only of this connector" })
          .example("$0 instance list --connector prod", "")
          .example("$0 instance list --watch", "again every 2 seconds"),
      (o) =>
        choose(() => {
          const asked = { query: { connector: o.connector } };
          const textOf = (
            { items }: { items: Parameters<typeof instanceTable>[0] },
            width: number | undefined,
          ) => instanceTable(items, width);
          if (o.watch === undefined) return ask(world, o, "instance.list", asked, textOf);
          return watch(world, { ...o, watch: o.watch }, "instance.list", asked, textOf);
        }),
    )
    .command(
      "show <name>",
      "Show an instance with its pools, prefixes and what needs attention",
      (y) =>
        askOptions(name(y, "name", "The instance"))
          .example("$0 instance show aws-us-vir-con-00008", "")
          .epilogue("Pools show what the instance reports; a dash: nothing yet."),
      (o) => choose(() => ask(world, o, "instance.show", { params: { instance: o.name } }, instanceText)),
    )
    .command("pools", "IP pools of an instance: set", (y) => pools(y, { world, choose }))
    .command(
      "drain <name>",
      "Let an instance take no new sessions",
      (y) =>
        drainOptions(askOptions(name(y, "name", "The instance")))
          .example("$0 instance drain aws-us-vir-con-00008", "before maintenance")
          .example("$0 instance drain aws-us-vir-con-00008 --wait --deadline 300", "until nobody is left")
          .epilogue(
            "Exit code 0: it drains; with --wait: nobody is left. 1: somebody is left after the deadline, or it was interrupted. The deadline ends no drain: `instance resume` does.",
          ),
      (o) => choose(async () => (await import("../drain.ts")).drain(world, o)),
    )
    .command(
      "resume <name>",
      "End the drain that was asked for here",
      (y) =>
        askOptions(name(y, "name", "The instance")).example("$0 instance resume aws-us-vir-con-00008", ""),
      (o) =>
        choose(() =>
          ask(world, o, "instance.resume", { params: { instance: o.name } }, ({ status }) =>
            status === "Draining"
              ? `The drain that was asked for here has ended. ${o.name} has not said yet that it takes new sessions;\n` +
                `if it still does not, something else drains it: connector-controller instance show ${o.name}`
              : `${o.name} takes new sessions when it is Active.`,
          ),
        ),
    )
    .command(
      "remove <name>",
      "Forget an instance and its identity; its sessions are placed elsewhere",
      (y) =>
        askOptions(name(y, "name", "The instance")).example(
          "$0 instance remove aws-us-vir-con-00008",
          "after terminating it",
        ),
      (o) =>
        choose(() =>
          ask(world, o, "instance.remove", { params: { instance: o.name } }, () => `${o.name} is removed.`),
        ),
    );
}

function pools(argv: Argv, { world, choose }: Cli): Argv {
  return argv.demandCommand(1, "name an action").command(
    "set <name> [pools..]",
    "Set all IP pools of an instance; a pool that is not named has no range",
    (y) =>
      askOptions(name(y, "name", "The instance"))
        .positional("pools", { type: "string", array: true, describe: "POOL=PREFIX[,PREFIX…]" })
        .option("file", {
          type: "string",
          requiresArg: true,
          describe: "YAML or JSON: { POOL: { ipv4: […], ipv6: […] } }",
        })
        .option("none", { type: "boolean", default: false, describe: "Take all ranges away" })
        .example(
          "$0 instance pools set aws-us-vir-con-00008 Pool1=172.18.128.176/28,2600:1f18:2a89:703::/80",
          "",
        )
        .epilogue(
          "The ranges must exactly match the prefixes that are assigned to the instance's interface in EC2.",
        ),
    (o) =>
      choose(async () => {
        const { poolsOf } = await import("../input.ts");
        const body = poolsOf(o);
        if (!body.ok) return misuse(world, o, body.failure);
        if (Object.keys(body.value).length === 0 && !o.none) {
          const problem = "name POOL=PREFIX or --file, or --none to take all ranges away";
          return misuse(world, o, new Failure("admin.invalid", { problem }));
        }
        const asked = { params: { instance: o.name }, body: body.value };
        return await ask(world, o, "instance.pools.set", asked, instanceText);
      }),
  );
}

function otp(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "create <connector>",
      "Create a one-time password for one instance of a connector",
      (y) =>
        lifeOption(secretOptions(askOptions(name(y, "connector", "The connector"))))
          .example("$0 otp create prod --quiet", "the OTP alone, for a script")
          .example("$0 otp create prod --out connector.otp", "into a file that only you can read"),
      (o) =>
        choose(() =>
          withClient(world, o, async (client) => {
            const { createSecret } = await import("../secret-output.ts");
            const params = { connector: o.connector };
            const body = o.lifeMinutes === undefined ? {} : { lifeMinutes: o.lifeMinutes };
            return await createSecret(
              world,
              o,
              () => client.call("otp.create", { params, body }),
              ({ id }) => `One-time password ${id} lets one instance into ${o.connector}.`,
            );
          }),
        ),
    )
    .command(
      "list",
      "List the one-time passwords and what became of them",
      (y) =>
        askOptions(y)
          .option("connector", { type: "string", requiresArg: true, describe: "Only of this connector" })
          .example("$0 otp list --connector prod", ""),
      (o) =>
        choose(() =>
          ask(world, o, "otp.list", { query: { connector: o.connector } }, ({ items }, width) =>
            otpTable(items, width),
          ),
        ),
    )
    .command(
      "revoke <id>",
      "Revoke a one-time password that was not used",
      (y) => askOptions(name(y, "id", "Its id, as `otp list` shows it")).example("$0 otp revoke 0b8f…", ""),
      (o) =>
        choose(() =>
          ask(
            world,
            o,
            "otp.revoke",
            { params: { otp: o.id } },
            () => `One-time password ${o.id} is revoked.`,
          ),
        ),
    );
}
