import type { Argv } from "yargs";
import { ask, misuse } from "../ask.ts";
import { askOptions, type Cli, name } from "../options.ts";
import {
  connectorTable,
  connectorText,
  failoverText,
  groupTable,
  resourceTable,
} from "../text/connectors.ts";
import { restartOptions } from "./restart-options.ts";

/** `connector`, `group` and `resource`: what the group is and what it gives access to. */
export function connectorCommands(argv: Argv, cli: Cli): Argv {
  return argv
    .command("connector", "Connectors: create, list, show, update, failover, restart, delete", (y) =>
      connector(y, cli),
    )
    .command("group", "Device-User-Groups: create, list, delete", (y) => group(y, cli))
    .command("resource", "Enterprise resources of a connector: add, list, remove", (y) => resource(y, cli));
}

function connector(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "create <name>",
      "Create a connector",
      (y) =>
        specOptions(askOptions(name(y, "name", "Its name")))
          .option("hosting", {
            choices: ["aws", "azure", "gcp", "on-prem"] as const,
            requiresArg: true,
            describe: "Hosting environment [aws]",
          })
          .example(
            "$0 connector create prod --mode active-active --region us-east-1 --dns 10.0.0.2 --group Sales=Pool1",
            "",
          )
          .example("$0 connector create prod --file prod.yaml", "everything from a file"),
      (o) =>
        choose(async () => {
          const { inputOf } = await import("../input.ts");
          const body = inputOf(o);
          if (!body.ok) return misuse(world, o, body.failure);
          return await ask(world, o, "connector.create", { body: body.value }, connectorText);
        }),
    )
    .command(
      "list",
      "List the connectors",
      (y) => askOptions(y).example("$0 connector list", ""),
      (o) =>
        choose(() => ask(world, o, "connector.list", {}, ({ items }, width) => connectorTable(items, width))),
    )
    .command(
      "show <name>",
      "Show a connector with its groups and resources",
      (y) => askOptions(name(y, "name", "The connector")).example("$0 connector show prod", ""),
      (o) => choose(() => ask(world, o, "connector.show", { params: { connector: o.name } }, connectorText)),
    )
    .command(
      "update <name>",
      "Change what is named; --group, --network and --account replace the whole list",
      (y) =>
        specOptions(askOptions(name(y, "name", "The connector")))
          .example("$0 connector update prod --dns 10.0.0.2 --dns-secondary 10.0.0.3", "")
          .example("$0 connector update prod --group Sales=Pool1 --group Guests=Pool2:60", "two groups"),
      (o) =>
        choose(async () => {
          const { changeOf } = await import("../input.ts");
          const body = changeOf(o);
          if (!body.ok) return misuse(world, o, body.failure);
          const asked = { params: { connector: o.name }, body: body.value };
          return await ask(world, o, "connector.update", asked, connectorText);
        }),
    )
    .command(
      "failover <name>",
      "Active-standby: let the other instance carry, and bring all sessions to it",
      (y) =>
        askOptions(name(y, "name", "The connector"))
          .option("to", { type: "string", requiresArg: true, describe: "The instance that is to carry" })
          .example("$0 connector failover prod", "to the other one")
          .example("$0 connector failover prod --to aws-us-vir-con-00001", "back to the first")
          .epilogue(
            "Each session is made there before it ends where it is. Nothing fails back by itself: this is how.",
          ),
      (o) => {
        const asked = { params: { connector: o.name }, body: o.to === undefined ? {} : { to: o.to } };
        choose(() => ask(world, o, "connector.failover", asked, failoverText));
      },
    )
    .command(
      "restart <name>",
      "Restart the agents of its instances, one at a time, each emptied first",
      (y) => restartOptions(askOptions(name(y, "name", "The connector"))),
      (o) => choose(async () => (await import("../restart.ts")).restart(world, o)),
    )
    .command(
      "delete <name>",
      "Delete a connector that has no instances",
      (y) => askOptions(name(y, "name", "The connector")).example("$0 connector delete test", ""),
      (o) =>
        choose(() =>
          ask(
            world,
            o,
            "connector.remove",
            { params: { connector: o.name } },
            () => `Connector ${o.name} is deleted.`,
          ),
        ),
    );
}

function group(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "create <name>",
      "Create a Device-User-Group",
      (y) => askOptions(name(y, "name", "Its name")).example("$0 group create Sales", ""),
      (o) =>
        choose(() =>
          ask(world, o, "group.create", { body: { group: o.name } }, () => `Group ${o.name} is created.`),
        ),
    )
    .command(
      "list",
      "List the Device-User-Groups",
      (y) => askOptions(y).example("$0 group list", ""),
      (o) => choose(() => ask(world, o, "group.list", {}, ({ items }, width) => groupTable(items, width))),
    )
    .command(
      "delete <name>",
      "Delete a Device-User-Group that nothing uses",
      (y) => askOptions(name(y, "name", "The group")).example("$0 group delete Guests", ""),
      (o) =>
        choose(() =>
          ask(world, o, "group.remove", { params: { group: o.name } }, () => `Group ${o.name} is deleted.`),
        ),
    );
}

function resource(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .demandCommand(1, "name an action")
    .command(
      "add <connector> <name>",
      "Add an enterprise resource, or replace the one of that name",
      (y) =>
        askOptions(name(name(y, "connector", "The connector"), "name", "The resource's name"))
          .option("cidr", { type: "string", requiresArg: true, describe: "Destination: a CIDR" })
          .option("domain", {
            type: "string",
            requiresArg: true,
            describe: "Destination: a domain; names below it are meant too",
          })
          .option("protocol", {
            choices: ["tcp", "udp", "icmp", "any"] as const,
            default: "any" as const,
            requiresArg: true,
            describe: "Protocol",
          })
          .option("port", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "Port or range; none: all",
          })
          .option("group", {
            type: "string",
            array: true,
            requiresArg: true,
            demandOption: true,
            describe: "Who may use it",
          })
          .option("server-initiated", { type: "boolean", default: false, describe: "It may call users, too" })
          .conflicts("cidr", "domain")
          .example(
            "$0 resource add prod wiki --domain wiki.example.internal --protocol tcp --port 443 --group Sales",
            "",
          )
          .example("$0 resource add prod lab --cidr 10.9.0.0/16 --group Sales --group Guests", "any protocol")
          .epilogue(
            "Of the resources that fit a connection the most specific decides: the longest prefix, then the fewest ports. A CIDR that names other groups only keeps yours out.",
          ),
      (o) =>
        choose(async () => {
          const { resourceOf } = await import("../input.ts");
          const body = resourceOf(o);
          if (!body.ok) return misuse(world, o, body.failure);
          const asked = { params: { connector: o.connector, resource: o.name }, body: body.value };
          return await ask(world, o, "resource.set", asked, ({ resources }, width) =>
            resourceTable(resources, width),
          );
        }),
    )
    .command(
      "list <connector>",
      "List the enterprise resources of a connector",
      (y) => askOptions(name(y, "connector", "The connector")).example("$0 resource list prod", ""),
      (o) =>
        choose(() =>
          ask(world, o, "resource.list", { params: { connector: o.connector } }, ({ items }, width) =>
            resourceTable(items, width),
          ),
        ),
    )
    .command(
      "remove <connector> <name>",
      "Remove an enterprise resource",
      (y) =>
        askOptions(name(name(y, "connector", "The connector"), "name", "The resource")).example(
          "$0 resource remove prod wiki",
          "",
        ),
      (o) => {
        const params = { connector: o.connector, resource: o.name };
        choose(() => ask(world, o, "resource.remove", { params }, () => `Resource ${o.name} is removed.`));
      },
    );
}

function specOptions<T>(argv: Argv<T>) {
  return argv
    .option("file", {
      type: "string",
      requiresArg: true,
      describe: "YAML or JSON file with the fields of the API",
    })
    .option("mode", {
      choices: ["standalone", "active-standby", "active-active"] as const,
      requiresArg: true,
      describe: "Deployment mode",
    })
    .option("region", { type: "string", requiresArg: true, describe: "Region, as us-east-1" })
    .option("dns", { type: "string", requiresArg: true, describe: "Primary DNS server (IPv4)" })
    .option("dns-secondary", { type: "string", requiresArg: true, describe: "Secondary DNS server (IPv4)" })
    .option("dns-ipv6", { type: "string", requiresArg: true, describe: "Primary DNS server (IPv6)" })
    .option("dns-secondary-ipv6", {
      type: "string",
      requiresArg: true,
      describe: "Secondary DNS server (IPv6)",
    })
    .option("group", {
      type: "string",
      array: true,
      requiresArg: true,
      describe: "GROUP=POOL[:LEASE MINUTES], once for each Device-User-Group",
    })
    .option("ipv6-pools", {
      choices: ["exact", "within"] as const,
      requiresArg: true,
      describe: "IPv6 pools equal a /80 of the interface, or lie within one",
    })
    .option("network", {
      type: "string",
      array: true,
      requiresArg: true,
      describe: "CIDR outside the VPC where services named by domain are",
    })
    .option("account", {
      type: "string",
      array: true,
      requiresArg: true,
      describe: "AWS account that may enrol",
    })
    .option("vpc", { type: "string", requiresArg: true, describe: "The VPC of all instances" });
}
