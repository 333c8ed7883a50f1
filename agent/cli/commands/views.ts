import type { Argv } from "yargs";
import type { Result } from "../../../protocol/failures.ts";
import type { World } from "../../../protocol/node/world.ts";
import type { Read, Reads } from "../../core/local-api.ts";
import { AgentClient } from "../client.ts";
import { askOptions, filterOptions, mapped, notInherited, shown, watchOption } from "../options.ts";
import type { Report } from "../page.ts";
import { show } from "../show.ts";
import { withAssign } from "./assign.ts";
import type { Choose } from "./choose.ts";

/** The commands that only look. */
export function withViews(argv: Argv, world: World, choose: Choose): Argv {
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
          const { statusReport } = await import("../views/status.ts");
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
          const { poolsReport } = await import("../views/pools.ts");
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
        filterOptions(watchOption(askOptions(y, world.env)), ["leased", "away", "cooling", "quarantined"])
          .example("$0 leases --state cooling", "addresses that rest")
          .example("$0 leases | grep 172.18.128.180", "who has this address")
          .epilogue(
            "leased: a session uses it. away: kept for its device until it ends. cooling: rests before it is free. quarantined: AWS does not route it here.",
          ),
      (o) =>
        choose(async () => {
          const { leasesReport } = await import("../views/leases.ts");
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
          .example("$0 sessions --state refused", "who is not served, and why")
          .epilogue(
            "Rx: bytes from the device. Tx: bytes to it. active: heard in the last 180 s. A wide terminal or a pipe shows handshake and endpoint too.",
          ),
      (o) =>
        choose(async () => {
          const { sessionsReport } = await import("../views/sessions.ts");
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
        withAssign(notInherited(refreshOption(watchOption(askOptions(y, world.env)))), world, choose)
          .example("$0 prefixes --refresh", "after an assignment in EC2")
          .epilogue("Exit code 1: a prefix needs attention."),
      (o) =>
        choose(async () => {
          const { prefixesReport } = await import("../views/prefixes.ts");
          const look = reader(o.socket, "prefixes", prefixesReport);
          const ask = o.refresh ? afterRefresh(o.socket, look) : look;
          return await show(ask, shown(o), world);
        }),
    );
}

function refreshOption<T>(argv: Argv<T>) {
  return argv.option("refresh", {
    type: "boolean",
    default: false,
    describe: "Read the metadata service first",
  });
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
