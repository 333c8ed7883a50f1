import type { CloseName } from "../../protocol/close.ts";
import { Failure, type FailureCode } from "../../protocol/failures.ts";
import { limits } from "../../protocol/limits.ts";
import { type ClientMessage, proofText } from "../../protocol/messages.ts";
import { isCanonicalKey } from "../../protocol/names.ts";
import { agreedVersion, protocolVersion, protocolVersionMin } from "../../protocol/version.ts";
import type { LinkId } from "./effects.ts";
import { observe } from "./observed.ts";
import { deadlineOf, type OpenPeer, type Peer, type Request } from "./peers.ts";
import { count, type World } from "./world.ts";

/** What happens on a link: from the challenge to the end. What a message means for the group is decided elsewhere. */

export function connected(world: World, link: LinkId, address: string): void {
  const { peers, settings, now, makers, controllerId } = world;
  if (world.pipeline.isFull) {
    turnAway(world, link, address);
    return;
  }
  if (peers.counts().strangers >= settings.strangersMax) {
    // The newcomer may be a friend; who has not answered a challenge for longest hardly is. A flood thus shortens the
    // time to answer, instead of keeping everybody out.
    const oldest = peers.oldestChallenged();
    if (oldest === undefined) {
      turnAway(world, link, address);
      return;
    }
    refuse(world, oldest, new Failure("link.throttled"));
  }
  const nonce = makers.nonce();
  peers.add(link, address, nonce, now, now.monotonicMs + limits.proveWithinMs);
  world.emit({
    do: "send",
    link,
    message: {
      type: "challenge",
      nonce,
      version: protocolVersion,
      minimumVersion: protocolVersionMin,
      controller: controllerId,
      wallMs: now.wallMs,
    },
  });
}

export function received(world: World, link: LinkId, message: ClientMessage): void {
  const peer = world.peers.get(link);
  if (peer === undefined) return;
  peer.heard = world.now;
  switch (peer.state.kind) {
    case "challenged":
      if (message.type === "hello" || message.type === "enrol" || message.type === "join") {
        prove(world, peer, peer.state.nonce, message);
      } else cut(world, peer, "protocol.out-of-order", "malformed");
      return;
    case "proving":
    case "deciding":
      cut(world, peer, "protocol.out-of-order", "malformed");
      return;
    case "open":
      converse(world, peer as OpenPeer, message);
      return;
  }
}

export function verified(world: World, effectId: number, proven: boolean): Peer | undefined {
  const found = world.peers.proven(effectId);
  if (found === undefined) return undefined;
  if (!proven) {
    refuse(world, found.peer, new Failure("link.proof-wrong"));
    return undefined;
  }
  found.peer.state = { kind: "deciding", request: found.request };
  return found.peer;
}

export function disconnected(world: World, link: LinkId): void {
  const peer = world.peers.remove(link);
  if (peer !== undefined) lost(world, peer);
}

/** Tells why, and closes. */
export function refuse(world: World, peer: Peer, failure: Failure, close: CloseName = "refused"): void {
  const text = failure.message.slice(0, 512);
  const retryAfter = failure.code === "link.throttled" ? { retryAfterMs: world.settings.retryAfterMs } : {};
  const message = { type: "refused", code: failure.code, text, ...retryAfter } as const;
  world.emit({ do: "send", link: peer.link, message });
  cut(world, peer, failure.code, close);
}

/** Closes without a word: the close code says it. */
export function cut(world: World, peer: Peer, why: FailureCode, close: CloseName): void {
  world.emit({ do: "close", link: peer.link, close });
  count(world.totals, why);
  const { address } = peer;
  const who = peer.state.kind === "open" ? { [peer.state.role]: peer.state.id } : {};
  world.emit({ do: "tell", level: "warn", text: "link refused", facts: { code: why, address, ...who } });
  if (world.peers.remove(peer.link) !== undefined) lost(world, peer);
}

/** Cuts what was silent for too long, and sends again what was not acknowledged. */
export function sweep(world: World): void {
  const { peers, now } = world;
  for (const peer of peers.all()) {
    if (now.monotonicMs < peer.lookAtMs) continue;
    const deadline = deadlineOf(peer);
    peer.lookAtMs = deadline ?? 0;
    if (deadline === undefined || now.monotonicMs < deadline) continue;
    const { state } = peer;
    if (state.kind !== "open") cut(world, peer, "link.silent", "proofLate");
    else if (now.monotonicMs >= peer.heard.monotonicMs + state.silentMs)
      cut(world, peer, "link.silent", "silent");
    else peers.stir(peer);
  }
}

/** Builds and sends the frames that this turn's changes call for. */
export function flush(world: World): void {
  for (const peer of world.peers.takeTouched()) {
    if (peer.state.kind !== "open") continue;
    const { sender } = peer.state;
    for (const message of sender.frames(world.now.monotonicMs)) {
      world.emit({ do: "send", link: peer.link, message });
    }
    peer.lookAtMs = Math.min(peer.lookAtMs, sender.nextDeadline() ?? peer.lookAtMs);
  }
}

function turnAway(world: World, link: LinkId, address: string): void {
  const { message: text } = new Failure("link.throttled");
  const { retryAfterMs } = world.settings;
  world.emit({ do: "send", link, message: { type: "refused", code: "link.throttled", text, retryAfterMs } });
  world.emit({ do: "close", link, close: "refused" });
  world.emit({ do: "tell", level: "warn", text: "link refused", facts: { code: "link.throttled", address } });
  count(world.totals, "link.throttled");
}

function prove(world: World, peer: Peer, nonce: string, request: Request): void {
  const ours = { version: protocolVersion, minimum: protocolVersionMin };
  const theirs = { version: request.version, minimum: request.minimumVersion };
  if (agreedVersion(ours, theirs) === undefined) {
    refuse(
      world,
      peer,
      new Failure("protocol.version", { peer: request.version, ours: protocolVersion }),
      "version",
    );
    return;
  }
  if (!isCanonicalKey(request.identityKey) || !isCanonicalKey(request.wireguardKey)) {
    refuse(world, peer, new Failure("protocol.malformed", { problem: "a key with unused bits set" }));
    return;
  }
  const effectId = world.newEffectId();
  const deadlineMs = world.now.monotonicMs + limits.proveWithinMs;
  world.peers.proves(peer, { kind: "proving", effectId, request, deadlineMs });
  const role = request.type === "hello" ? request.role : request.type === "enrol" ? "agent" : "device";
  const { identityKey, signature } = request;
  world.emit({
    do: "verify",
    effectId,
    text: proofText(role, { nonce, controller: world.controllerId }, identityKey),
    identityKey,
    signature,
    document: request.type === "enrol" ? request : undefined,
  });
}

function converse(world: World, peer: OpenPeer, message: ClientMessage): void {
  switch (message.type) {
    case "hello":
    case "enrol":
    case "join":
      cut(world, peer, "protocol.out-of-order", "malformed");
      return;
    case "ping":
      world.emit({ do: "send", link: peer.link, message: { type: "pong", id: message.id } });
      return;
    case "ack":
      peer.state.sender.acked(message.revision);
      world.peers.stir(peer);
      return;
    case "resync":
      peer.state.sender.resync();
      world.peers.stir(peer);
      return;
    case "goodbye":
      if (peer.state.role === "agent") {
        world.fleet.instanceLeaves(peer.state.id, message.reason);
        world.judge.look(peer.state.id);
      }
      world.emit({
        do: "tell",
        level: "info",
        text: "peer says goodbye",
        facts: { [peer.state.role]: peer.state.id, reason: message.reason },
      });
      return;
    case "state": {
      const got = peer.state.receiver.receive(message);
      switch (got.is) {
        case "change": {
          const problem = observe(world, peer, got);
          if (problem !== undefined) refuse(world, peer, problem, "malformed");
          else world.emit({ do: "send", link: peer.link, message: { type: "ack", revision: got.ack } });
          return;
        }
        case "part":
          return;
        case "repeated":
          world.emit({ do: "send", link: peer.link, message: { type: "ack", revision: got.ack } });
          return;
        case "gap":
          world.emit({ do: "send", link: peer.link, message: { type: "resync" } });
          return;
        case "too-many":
          cut(world, peer, "protocol.too-large", "malformed");
          return;
      }
    }
  }
}

function lost(world: World, peer: Peer): void {
  const { state, heard, link } = peer;
  if (state.kind !== "open") return;
  world.emit({ do: "tell", level: "info", text: "link down", facts: { [state.role]: state.id } });
  switch (state.role) {
    case "agent":
      // A newer link of the same instance may be up already.
      if (world.fleet.instance(state.id)?.link?.id === link)
        world.fleet.instanceLost(state.id, heard, world.now);
      world.judge.look(state.id);
      world.placer.wake(world.now);
      return;
    case "device":
      if (world.fleet.device(state.id)?.link === link) world.fleet.deviceLost(state.id, heard);
      world.judge.hear(state.id, world.now);
      world.placer.look(state.id);
      return;
  }
}
