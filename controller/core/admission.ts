import { type Failure, type Result, success } from "../../protocol/failures.ts";
import type { ControllerMessage, Role } from "../../protocol/messages.ts";
import { protocolVersion, protocolVersionMin } from "../../protocol/version.ts";
import { deviceSource, instanceSource } from "./desired.ts";
import { type Admission, decideEnrol } from "./enrol.ts";
import { decideHello } from "./hello.ts";
import { decideJoin } from "./join.ts";
import { cut, refuse } from "./links.ts";
import type { Peer, Request } from "./peers.ts";
import type { Decided } from "./pipeline.ts";
import type { DocumentVerdict } from "./ports.ts";
import type { DeviceRow, InstanceRow } from "./rows.ts";
import { returnWithinMs } from "./settings.ts";
import type { World } from "./world.ts";

/** Decides about a peer whose proof is good: it waits its turn in the pipeline, and is welcome when that is stored. */
export function admit(world: World, peer: Peer, verdict: DocumentVerdict | undefined): void {
  if (peer.state.kind !== "deciding") return;
  const { request } = peer.state;
  world.pipeline.add({
    decide: () => decide(world, peer, request, verdict),
    failed: (failure: Failure) => {
      if (isStillThere(world, peer)) refuse(world, peer, failure);
    },
  });
}

function decide(
  world: World,
  peer: Peer,
  request: Request,
  verdict: DocumentVerdict | undefined,
): Result<Decided> {
  const context = { model: world.model, makers: world.makers, nowMs: world.now.wallMs };
  switch (request.type) {
    case "enrol": {
      const admission = decideEnrol(request, verdict ?? { is: "malformed", problem: "not checked" }, context);
      return whenStored(admission, (row, isNew) => {
        if (isNew) world.totals.enrolments += 1;
        const { id, name, connector } = row;
        if (isNew) tell(world, "instance enrolled", { instance: name, connector, ec2: row.ec2InstanceId });
        const word = { type: "enrolled", instance: id, name, connector } as const;
        welcome(world, peer, "agent", row, word);
      });
    }
    case "join": {
      const admission = decideJoin(request, context);
      return whenStored(admission, (row, isNew) => {
        if (isNew) world.totals.joins += 1;
        const { id, user, group } = row;
        if (isNew) tell(world, "device joined", { device: id, user, group });
        welcome(world, peer, "device", row, { type: "joined", device: id, user, group });
      });
    }
    case "hello":
      return whenStored(decideHello(request, world.model, context.nowMs), (row) =>
        welcome(world, peer, request.role, row, undefined),
      );
  }
}

function whenStored<Row>(
  admission: Result<Admission<Row>>,
  done: (row: Row, isNew: boolean) => void,
): Result<Decided> {
  if (!admission.ok) return admission;
  const { plan, row, isNew } = admission.value;
  return success({ plan, done: () => done(row, isNew) });
}

function welcome(
  world: World,
  peer: Peer,
  role: Role,
  row: InstanceRow | DeviceRow,
  word: ControllerMessage | undefined,
): void {
  if (!isStillThere(world, peer)) return;
  const { settings, peers, fleet, model, now } = world;
  const heartbeatMs = settings.heartbeatMs[role];
  const silentMs = heartbeatMs * settings.silentHeartbeats;
  const { link, address } = peer;
  const older = peers.of(role, row.id);
  if (older !== undefined) cut(world, older, "link.superseded", "superseded");
  if (word !== undefined) world.emit({ do: "send", link, message: word });
  world.emit({ do: "trust", link, role });
  const version = Math.max(protocolVersionMin, Math.min(protocolVersion, versionOf(peer)));
  const wayBack = role === "device" ? { returnWithinMs: returnWithinMs(model.sessions.size) } : {};
  const message = { type: "welcome", version, heartbeatMs, silentMs, ...wayBack, name: row.name } as const;
  world.emit({ do: "send", link, message });
  switch (role) {
    case "agent":
      peers.open(peer, { role, id: row.id, silentMs }, instanceSource(model, row.id));
      world.judge.back(row.id, peers.counts().agents === 1, fleet.instance(row.id)?.lostAtMs, now);
      fleet.instanceLinked(row.id, link, now);
      break;
    case "device":
      peers.open(peer, { role, id: row.id, silentMs }, deviceSource(model, row.id));
      fleet.deviceLinked(row.id, link, address, now);
      world.judge.hear(row.id, now);
      break;
  }
  tell(world, "link up", { [role]: row.id, name: row.name, address });
}

function versionOf({ state }: Peer): number {
  return state.kind === "deciding" ? state.request.version : protocolVersion;
}

function isStillThere(world: World, peer: Peer): boolean {
  return world.peers.get(peer.link) === peer;
}

function tell(world: World, text: string, facts: Record<string, string>): void {
  world.emit({ do: "tell", level: "info", text, facts });
}
