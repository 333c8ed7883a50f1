import { expect, test } from "vitest";
import { uplinkSettings } from "../../agent/core/uplink.ts";
import { returnWithinMs } from "../../controller/core/settings.ts";
import { Link, linkDefaults } from "../../protocol/link.ts";
import type { ControllerMessage } from "../../protocol/messages.ts";
import { Random } from "../sim/random.ts";

const challenge: ControllerMessage = {
  ...{ type: "challenge", nonce: "N".repeat(43), version: 1, minimumVersion: 1 },
  ...{ controller: "00000000-0000-4000-8000-000000000001", wallMs: 0 },
};

/** What one peer costs the controller, from its handshake to its snapshot; it takes one after the other. */
const costMs = 2;
const instances = 64;

class Peer {
  readonly isDevice: boolean;
  readonly #link: Link;
  readonly #returnWithinMs: number;
  /** When the controller gets to it. */
  answerAtMs = Number.POSITIVE_INFINITY;

  constructor(isDevice: boolean, returnWithinMs: number, random: Random) {
    const settings = isDevice ? linkDefaults : uplinkSettings;
    this.isDevice = isDevice;
    this.#returnWithinMs = returnWithinMs;
    this.#link = new Link({ ...settings, random: () => random.next() });
    this.#link.handle({ kind: "start" }, at(-60_000));
    this.enter(-60_000);
    this.close(1006, 0);
  }

  get isBack(): boolean {
    return this.#link.state.kind === "open";
  }

  get dueAtMs(): number {
    return this.isBack ? Number.POSITIVE_INFINITY : Math.min(this.answerAtMs, this.#link.nextDeadline() ?? 0);
  }

  /** Whether it dials. */
  tick(ms: number): boolean {
    return this.#link.handle({ kind: "tick" }, at(ms)).some((effect) => effect.do === "dial");
  }

  close(why: number | "link.unreachable", ms: number): void {
    this.#link.handle({ kind: "closed", dialId: this.#dialId, why }, at(ms));
  }

  enter(ms: number): void {
    const wayBack = this.isDevice ? { returnWithinMs: this.#returnWithinMs } : {};
    const welcome: ControllerMessage = {
      ...{ type: "welcome", version: 1, heartbeatMs: 5_000, silentMs: 15_000, name: "con" },
      ...wayBack,
    };
    for (const message of [challenge, welcome])
      this.#link.handle({ kind: "received", dialId: this.#dialId, message }, at(ms));
  }

  get #dialId(): number {
    const { state } = this.#link;
    return "dialId" in state ? state.dialId : 0;
  }
}

/** How long after its return a controller that was killed has the last of the instances and of the devices back. */
function storm(devices: number, awayMs: number, windowMs: number) {
  const random = new Random(7);
  const peers = Array.from(
    { length: instances + devices },
    (_, i) => new Peer(i >= instances, windowMs, random),
  );
  const lastMs = { instances: 0, devices: 0 };
  let freeAtMs = awayMs;
  let dials = 0;
  const run = (peer: Peer, ms: number) => {
    const isAnswered = peer.answerAtMs <= ms;
    // Who gave up waiting has cost as much as who is let in.
    peer.answerAtMs = Number.POSITIVE_INFINITY;
    if (isAnswered) {
      peer.enter(ms);
      lastMs[peer.isDevice ? "devices" : "instances"] = ms;
    } else if (peer.tick(ms)) {
      dials += 1;
      if (ms < awayMs) peer.close("link.unreachable", ms);
      else peer.answerAtMs = freeAtMs = Math.max(freeAtMs, ms) + costMs;
    }
  };
  for (let ms = 0; peers.some(({ isBack }) => !isBack); ms++)
    for (const peer of peers) if (peer.dueAtMs <= ms) run(peer, ms);
  return { instancesMs: lastMs.instances - awayMs, devicesMs: lastMs.devices - awayMs, dials };
}

const at = (ms: number) => ({ monotonicMs: ms, wallMs: ms });

test("when the controller was killed, the instances are back before the devices, and these within twice their window", () => {
  const devices = 3_000;
  const windowMs = returnWithinMs(devices);
  const spread = storm(devices, 2_000, windowMs);
  const together = storm(devices, 2_000, 0);
  console.log("at moments of their own", spread, "as fast as they can", together);
  // Their own backoff is a second then, and the queue before them is short.
  expect(spread.instancesMs).toBeLessThan(2_500);
  expect(spread.instancesMs).toBeLessThan(together.instancesMs / 2);
  expect(spread.devicesMs).toBeLessThan(2 * windowMs);
  expect(spread.dials).toBeLessThan(together.dials / 2);
});

test("a small group does not notice", () => {
  const { instancesMs, devicesMs } = storm(50, 2_000, returnWithinMs(50));
  expect(Math.max(instancesMs, devicesMs)).toBeLessThan(2_500);
});

test("a controller that was away for minutes has its instances back within the agents' longest backoff", () => {
  const { instancesMs } = storm(500, 120_000, returnWithinMs(500));
  expect(instancesMs).toBeLessThan(uplinkSettings.backoffMaxMs + 1_000);
});
