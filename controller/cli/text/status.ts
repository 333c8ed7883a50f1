import { failureEntry, isFailureCode } from "../../../protocol/failures.ts";
import { table } from "../../../protocol/node/table.ts";
import type { ConnectorView, InstanceView } from "../../core/views.ts";
import { connectorTable } from "./connectors.ts";
import { judgementText } from "./instances.ts";
import { restartLines } from "./restarts.ts";

interface Group {
  readonly connectors: readonly ConnectorView[];
  readonly instances: readonly InstanceView[];
}

/** Something that needs a person, and where. */
export interface Trouble {
  readonly where: string;
  readonly what: string;
  readonly hint: string;
}

export function troublesOf({ connectors, instances }: Group): Trouble[] {
  const idle = connectors
    .filter(({ activeInstances }) => activeInstances === 0)
    .map(({ name, instances }) => ({
      where: name,
      what: instances === 0 ? "no instance has enrolled yet" : `none of its ${instances} instances is Active`,
      hint:
        instances === 0
          ? `Launch one with an OTP: connector-controller otp create ${name}`
          : `connector-controller instance list --connector ${name}`,
    }));
  const stopped = connectors.flatMap(({ name, restart }) =>
    restart?.state === "stopped"
      ? {
          where: name,
          what: `its rolling restart ${restartLines(restart).replace("\n", "; ")}`,
          hint: `connector-controller connector restart ${name} --show`,
        }
      : [],
  );
  // What an instance said before its link went down is no longer known to be true.
  const linked = instances.filter(({ status }) => status !== "Offline");
  const conditions = linked.flatMap(({ name, conditions }) =>
    conditions
      .filter(({ severity }) => severity !== "info")
      .map(({ code, text, hint }) => ({ where: name, what: `${text} [${code}]`, hint })),
  );
  const offline = instances
    .filter(({ status }) => status === "Offline")
    .map(({ name }) => ({ where: name, what: "is Offline", hint: "Look on the instance: connector status" }));
  // All of it may be true of an instance that says it is Active.
  const judged = instances
    .filter(
      ({ judgement }) => judgement.why === "devices" || judgement.waiting > 0 || isReachedByNobody(judgement),
    )
    .map((instance) => ({
      where: instance.name,
      what: judgementText(instance),
      hint:
        instance.judgement.waiting > 0
          ? "Add prefixes to the other instances' pools, or add an instance"
          : "See that devices reach its UDP port (security group, network ACL, publicAddress); then look on the instance: connector check",
    }));
  // Where no instance is Active that is the cause, and is told.
  const waiting = connectors.flatMap(({ name, activeInstances, waiting }) =>
    (activeInstances === 0 ? [] : waiting).map(({ group, code, sessions }) => ({
      where: name,
      what: `${sessions} of group ${group} without a place: ${isFailureCode(code) ? failureEntry(code).summary : code} [${code}]`,
      hint: `connector-controller session list --state waiting. ${isFailureCode(code) ? failureEntry(code).hint : ""}`.trim(),
    })),
  );
  return [...idle, ...stopped, ...offline, ...judged, ...waiting, ...conditions];
}

/** As where the security group lets no device in: no path was ever alive, so it is not condemned, and nobody is served. */
function isReachedByNobody({ devicesAlive, devicesDead }: InstanceView["judgement"]): boolean {
  return devicesDead > 0 && devicesAlive === 0;
}

export function statusText(group: Group, troubles: readonly Trouble[], width: number | undefined): string {
  const counts = new Map<string, number>();
  for (const { status } of group.instances) counts.set(status, (counts.get(status) ?? 0) + 1);
  const parts = [`The controller is ready.\n\n${connectorTable(group.connectors, width)}`];
  if (counts.size > 0) {
    const rows = [...counts].map(([status, count]) => [status, String(count)]);
    parts.push(table([{ title: "Instances" }, { title: "Count", align: "right" }], rows, width));
  }
  if (group.connectors.length > 0 && troubles.length === 0) parts.push("Nothing needs attention.");
  if (troubles.length > 0) {
    parts.push(troubles.map(({ where, what, hint }) => `${where}: ${what}\n  → ${hint}`).join("\n"));
  }
  return parts.join("\n\n");
}
