import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { expect, test } from "vitest";
import { relay } from "../../lab/vpc/relay.ts";
import { until } from "../support/until.ts";

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

test("its end is the end of connections that one side has left and the other never will", async () => {
  await using upstream = createServer((socket) => socket.end("bye"));
  const port = await listening(upstream);
  const arriving = createServer();
  const at = await listening(arriving);
  const opened: Socket[] = [];
  const carried = relay(arriving, () => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    opened.push(socket);
    return socket;
  });
  let heard = "";
  const silent = connect({ port: at, host: "127.0.0.1", allowHalfOpen: true });
  silent
    .on("error", () => {})
    .on("data", (data) => {
      heard += data;
    });
  await until("the end of the answer", () => silent.readableEnded);
  expect(heard).toBe("bye");
  expect(opened.map(({ closed }) => closed)).toEqual([false]);
  carried[Symbol.dispose]();
  await until("the end of both", () => {
    silent.write("still there");
    return silent.closed && opened.every(({ closed }) => closed);
  });
});
