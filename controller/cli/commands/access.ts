import type { Argv } from "yargs";
import { Failure } from "../../../protocol/failures.ts";
import { ask, misuse, withClient } from "../ask.ts";
import { askOptions, type Cli, name, secretOptions } from "../options.ts";
import { auditTable, tokenTable } from "../text/access.ts";
import { withMore } from "../text/page.ts";

/** `audit` and `token`: who may administer, and who did what. */
export function accessCommands(argv: Argv, cli: Cli): Argv {
  return argv
    .command("audit", "Audit log: list", (y) => audit(y, cli))
    .command("token", "Admin tokens: create, list, revoke", (y) => token(y, cli));
}

function audit(argv: Argv, { world, choose }: Cli): Argv {
  return argv.demandCommand(1, "name an action").command(
    "list",
    "Who changed what, the newest at the end",
    (y) =>
      askOptions(y)
        .option("limit", {
          type: "number",
          requiresArg: true,
          default: 100,
          describe: "Entries, 1000 at most",
        })
        .option("before", { type: "number", requiresArg: true, describe: "Entries older than this one" })
        .option("actor", { type: "string", requiresArg: true, describe: "Only by this one, as token:ci" })
        .option("action", { type: "string", requiresArg: true, describe: "Only this, as instance.drain" })
        .option("subject", {
          type: "string",
          requiresArg: true,
          describe: "Only about this, as connector/prod",
        })
        .option("follow", {
          alias: "f",
          type: "boolean",
          describe: "Go on with new entries until Ctrl-C",
        })
        .conflicts("follow", "before")
        .example("$0 audit list --subject connector/prod", "")
        .example("$0 audit list --follow -o json", "one line an entry, with before and after"),
    (o) =>
      choose(async () => {
        const { limit, before, actor, action, subject } = o;
        const query = { limit, before, actor, action, subject };
        if (o.follow !== true) {
          return await ask(world, o, "audit.list", { query }, (page, width) =>
            withMore(auditTable(page.items, width), "--before", page.next),
          );
        }
        const { follow } = await import("../follow.ts");
        return await withClient(world, o, (client) => follow(world, o, client, query));
      }),
  );
}

function token(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "create",
      "Create an admin token, with a token or (the first one) on the controller's own host",
      (y) =>
        secretOptions(askOptions(y))
          .option("name", {
            type: "string",
            requiresArg: true,
            demandOption: true,
            describe: "Whose or what for",
          })
          .option("state-dir", {
            type: "string",
            requiresArg: true,
            describe: "Write it straight into this controller's database",
          })
          .conflicts("state-dir", "controller")
          .example(
            "$0 token create --state-dir /var/lib/connector-controller --name admin --out admin.token",
            "",
          )
          .example("$0 token create --name ci --quiet", "another one, through the controller"),
      (o) =>
        choose(async () => {
          const { createSecret } = await import("../secret-output.ts");
          const describe = () => `Admin token ${o.name} is created.`;
          const { stateDir } = o;
          if (stateDir !== undefined) {
            const { stateDirProblem } = await import("../state-dir.ts");
            const problem = stateDirProblem(stateDir);
            if (problem !== undefined)
              return misuse(world, o, new Failure("admin.file", { stateDir, problem }));
            const { createTokenLocally } = await import("../../local.ts");
            return await createSecret(world, o, () => createTokenLocally(stateDir, o.name), describe);
          }
          return await withClient(world, o, (client) =>
            createSecret(world, o, () => client.call("token.create", { body: { name: o.name } }), describe),
          );
        }),
    )
    .command(
      "list",
      "List the admin tokens",
      (y) => askOptions(y).example("$0 token list", ""),
      (o) => choose(() => ask(world, o, "token.list", {}, ({ items }, width) => tokenTable(items, width))),
    )
    .command(
      "revoke <name>",
      "Revoke an admin token",
      (y) => askOptions(name(y, "name", "The token's name")).example("$0 token revoke ci", ""),
      (o) =>
        choose(() =>
          ask(world, o, "token.revoke", { params: { token: o.name } }, () => `Token ${o.name} is revoked.`),
        ),
    );
}
