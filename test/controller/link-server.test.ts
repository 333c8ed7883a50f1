import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { expect, test } from "vitest";
import { LinkServer } from "../../controller/adapters/link-server.ts";
import type { ControllerInput } from "../../controller/core/effects.ts";
import { limits } from "../../protocol/limits.ts";
import type { ControllerMessage, Role } from "../../protocol/messages.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { until } from "../support/until.ts";
import { Raw } from "./wire.ts";

/** A frame of half a megabyte. */
const bytes = 512 * 1024;
const long: ControllerMessage = {
  type: "state",
  from: 0,
  to: 1,
  part: 0,
  last: true,
  set: [["attachment", "x".repeat(bytes)]],
  remove: [],
};

test("an IPv4 peer of a socket for both families is named as such", async () => {
  await using world = await listening("::");
  expect(world.inputs).toMatchObject([{ kind: "connected", address: "127.0.0.1" }]);
});

async function listening(on = "127.0.0.1") {
  await using stack = new AsyncDisposableStack();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, on, resolve));
  stack.defer(() => void server.close());
  const inputs: ControllerInput[] = [];
  const log = pino({ level: "silent" });
  const post = (input: ControllerInput) => void inputs.push(input);
  const links = stack.use(new LinkServer({ server, post, log, clock: systemClock }));
  const raw = new Raw(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  // A socket that is not open yet takes no pause.
  await until("the socket", () => raw.socket.readyState === raw.socket.OPEN);
  const connected = await until("the link", () => inputs.find(({ kind }) => kind === "connected"));
  const link = connected.kind === "connected" ? connected.link : 0;
  const owned = stack.move();
  return { links, link, raw, inputs, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

test.each([
  ["agent", limits.sendQueueBytesMax],
  ["device", limits.deviceSendQueueBytesMax],
] as const)(
  "a link of role %s that does not read is cut when it is owed too much",
  async (role: Role, bytesMax) => {
    await using world = await listening();
    const { links, link, raw, inputs } = world;
    const isOver = () => inputs.some((input) => input.kind === "disconnected" && input.link === link);
    links.trust(link, role);
    raw.socket.pause();
    let sent = 0;
    // The kernel holds some megabytes, too: what counts is what waits in this process.
    while (!isOver() && sent < bytesMax + 64 * 1024 * 1024) {
      links.send(link, long);
      sent += bytes;
      await new Promise(setImmediate);
    }
    await until("the cut", isOver);
    expect(sent).toBeGreaterThan(bytesMax);
    raw.socket.resume();
    await raw.end();
  },
);

test("an agent that reads gets any amount", async () => {
  await using world = await listening();
  const { links, link, raw, inputs } = world;
  links.trust(link, "agent");
  for (let i = 1; i <= 64; i++) {
    links.send(link, long);
    if (i % 8 === 0) await until("the frames", () => raw.heard.length === i);
  }
  expect(inputs.some(({ kind }) => kind === "disconnected")).toBe(false);
});

test.each([
  ["device", 200, 1_000],
  ["agent", 3_000, 3_000],
] as const)(
  "of a %s that floods, %i frames are read, and what one packet holds",
  async (role, least, most) => {
    await using world = await listening();
    const { links, link, raw, inputs } = world;
    links.trust(link, role);
    const padding = "x".repeat(1_000);
    for (let id = 1; id <= 3_000; id++) raw.send(`{"type":"ping","id":${id},"padding":"${padding}"}`);
    const heard = () => inputs.filter(({ kind }) => kind === "received");
    await until("what is read", () => heard().length >= least);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(heard().length).toBeGreaterThanOrEqual(least);
    expect(heard().length).toBeLessThanOrEqual(most);
    // In order, and the link goes on.
    expect(heard().map((input) => input.kind === "received" && input.message)).toMatchObject(
      heard().map((_, i) => ({ type: "ping", id: i + 1 })),
    );
    expect(inputs.some(({ kind }) => kind === "disconnected")).toBe(false);
  },
);
