import type { Argv } from "yargs";
import { ask, watch, withClient } from "../ask.ts";
import { askOptions, type Cli, lifeOption, name, secretOptions, watchOption } from "../options.ts";
import { deviceCodeTable, deviceTable, deviceText, sessionTable } from "../text/devices.ts";
import { withMore } from "../text/page.ts";

/** `device-code`, `device` and `session`: who is let in, and where they are. */
export function deviceCommands(argv: Argv, cli: Cli): Argv {
  return argv
    .command("device-code", "Join codes for users' devices: create, list, revoke", (y) => deviceCode(y, cli))
    .command("device", "Devices: list, show, remove", (y) => device(y, cli))
    .command("session", "Sessions: list, end", (y) => session(y, cli));
}

function deviceCode(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "create",
      "Create a join code for one device of a user",
      (y) =>
        lifeOption(secretOptions(askOptions(y)))
          .option("user", { type: "string", requiresArg: true, demandOption: true, describe: "Whose device" })
          .option("group", {
            type: "string",
            requiresArg: true,
            demandOption: true,
            describe: "Device-User-Group",
          })
          .example("$0 device-code create --user alice@example.com --group Sales", ""),
      (o) =>
        choose(() =>
          withClient(world, o, async (client) => {
            const { createSecret } = await import("../secret-output.ts");
            const life = o.lifeMinutes === undefined ? {} : { lifeMinutes: o.lifeMinutes };
            return await createSecret(
              world,
              o,
              () => client.call("deviceCode.create", { body: { user: o.user, group: o.group, ...life } }),
              ({ id }) => `Join code ${id} lets one device of ${o.user} into group ${o.group}.`,
            );
          }),
        ),
    )
    .command(
      "list",
      "List the join codes and what became of them",
      (y) => askOptions(y).example("$0 device-code list", ""),
      (o) =>
        choose(() =>
          ask(world, o, "deviceCode.list", {}, ({ items }, width) => deviceCodeTable(items, width)),
        ),
    )
    .command(
      "revoke <id>",
      "Revoke a join code that was not used",
      (y) =>
        askOptions(name(y, "id", "Its id, as `device-code list` shows it")).example(
          "$0 device-code revoke 0b8f…",
          "",
        ),
      (o) =>
        choose(() =>
          ask(
            world,
            o,
            "deviceCode.revoke",
            { params: { deviceCode: o.id } },
            () => `Join code ${o.id} is revoked.`,
          ),
        ),
    );
}

function device(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "list",
      "List the devices",
      (y) => pageOptions(askOptions(y)).example("$0 device list", ""),
      (o) =>
        choose(() =>
          ask(world, o, "device.list", { query: { limit: o.limit, after: o.after } }, (page, width) =>
            withMore(deviceTable(page.items, width), "--after", page.next),
          ),
        ),
    )
    .command(
      "show <id>",
      "Show a device with its session and what it says of its tunnel",
      (y) =>
        askOptions(name(y, "id", "Its id, as `device list` shows it"))
          .example("$0 device show 0b8f…", "")
          .epilogue(
            "Path: what the device's probe found; a dash where it has not said or carries no tunnel.",
          ),
      (o) =>
        choose(() =>
          ask(world, o, "device.show", { params: { device: o.id } }, (device) => deviceText(device)),
        ),
    )
    .command(
      "remove <id>",
      "Forget a device and its identity; its session ends",
      (y) =>
        askOptions(name(y, "id", "Its id, as `device list` shows it")).example(
          "$0 device remove 0b8f…",
          "it was stolen",
        ),
      (o) =>
        choose(() =>
          ask(world, o, "device.remove", { params: { device: o.id } }, ({ name }) => `${name} is removed.`),
        ),
    );
}

function session(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "list",
      "List the sessions: the active agents of an instance, or of all",
      (y) =>
        watchOption(pageOptions(askOptions(y)))
          .option("instance", { type: "string", requiresArg: true, describe: "Only of this instance" })
          .option("state", {
            choices: ["waiting", "placed", "attached"] as const,
            requiresArg: true,
            describe: "Only in this state",
          })
          .example("$0 session list --state waiting", "who has no place, and why")
          .example("$0 session list --instance aws-us-vir-con-00008 --watch", ""),
      (o) =>
        choose(() => {
          const asked = { query: { instance: o.instance, state: o.state, limit: o.limit, after: o.after } };
          const textOf = (
            page: { items: Parameters<typeof sessionTable>[0]; next: string | null },
            width: number | undefined,
          ) => withMore(sessionTable(page.items, width), "--after", page.next);
          if (o.watch === undefined) return ask(world, o, "session.list", asked, textOf);
          return watch(world, { ...o, watch: o.watch }, "session.list", asked, textOf);
        }),
    )
    .command(
      "end <id>",
      "End a session; a device that still wants to be attached gets a new one",
      (y) =>
        askOptions(name(y, "id", "Its id, as `session list` shows it")).example("$0 session end 0b8f…", ""),
      (o) =>
        choose(() =>
          ask(world, o, "session.end", { params: { session: o.id } }, () => `Session ${o.id} is ended.`),
        ),
    );
}

function pageOptions<T>(argv: Argv<T>) {
  return argv
    .option("limit", { type: "number", requiresArg: true, default: 100, describe: "Rows, 1000 at most" })
    .option("after", { type: "string", requiresArg: true, describe: "Rows after this id" });
}
