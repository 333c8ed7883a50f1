import type { Result } from "../../protocol/failures.ts";
import type { AdminCommand, CommandName, CommandResults } from "./admin.ts";
import { accessDeciders } from "./decide-access.ts";
import { connectorDeciders } from "./decide-connector.ts";
import { failoverDeciders } from "./decide-failover.ts";
import { fleetDeciders } from "./decide-fleet.ts";
import { restartDeciders } from "./decide-restart.ts";
import type { DecideContext, Deciders, Decision } from "./decision.ts";

const deciders: Deciders<CommandName> = {
  ...connectorDeciders,
  ...failoverDeciders,
  ...restartDeciders,
  ...accessDeciders,
  ...fleetDeciders,
};

export function decideCommand(
  command: AdminCommand,
  context: DecideContext,
): Result<Decision<CommandResults[CommandName]>> {
  const decide = deciders[command.command] as (
    command: AdminCommand,
    context: DecideContext,
  ) => Result<Decision<CommandResults[CommandName]>>;
  return decide(command, context);
}
