/**
 * A host's applications, for a test that runs it inside a namespace. Each line on standard input is a `Request`, and is
 * answered by one line on standard output. Echo servers answer with the address that asked.
 */
import { createSocket } from "node:dgram";
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

export type Request =
  | {
      readonly do: "serve";
      readonly protocol: "tcp" | "udp";
      readonly address: string;
      readonly port: number;
    }
  | {
      readonly do: "ask";
      readonly protocol: "tcp" | "udp";
      readonly from: string;
      readonly to: string;
      readonly port: number;
      readonly withinMs: number;
    }
  /** Opens a connection that stays, and `say`s something over it later. */
  | { readonly do: "open"; readonly from: string; readonly to: string; readonly port: number }
  | { readonly do: "say"; readonly withinMs: number };

let kept: Socket | undefined;

createInterface(process.stdin).on("line", async (line) => {
  const { id, ...request } = JSON.parse(line) as Request & { id: number };
  const answer = await handle(request as Request).catch((error: unknown) => `failed: ${String(error)}`);
  process.stdout.write(`${JSON.stringify({ id, answer })}\n`);
});

function handle(request: Request): Promise<string> {
  switch (request.do) {
    case "serve":
      return request.protocol === "tcp" ? serveTcp(request) : serveUdp(request);
    case "ask":
      return request.protocol === "tcp" ? askTcp(request) : askUdp(request);
    case "open":
      return open(request);
    case "say":
      return say(request.withinMs);
  }
}

function serveTcp({ address, port }: { address: string; port: number }): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", () => socket.write(socket.remoteAddress ?? ""));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => resolve("served"));
  });
}

function serveUdp({ address, port }: { address: string; port: number }): Promise<string> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (_message, from) => socket.send(from.address, from.port, from.address));
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, () => resolve("served"));
  });
}

function askTcp(request: Request & { do: "ask" }): Promise<string> {
  const socket = connect({ host: request.to, port: request.port, localAddress: request.from });
  socket.on("connect", () => socket.write("who am I"));
  return firstData(socket, request.withinMs).finally(() => socket.destroy());
}

function askUdp({ from, to, port, withinMs }: Request & { do: "ask" }): Promise<string> {
  const socket = createSocket(to.includes(":") ? "udp6" : "udp4");
  return new Promise<string>((resolve, reject) => {
    setTimeout(() => resolve("silence"), withinMs);
    socket.once("error", reject);
    socket.once("message", (message) => resolve(message.toString()));
    socket.bind(0, from, () => socket.send("who am I", port, to));
  }).finally(() => socket.close());
}

function open({ from, to, port }: Request & { do: "open" }): Promise<string> {
  kept = connect({ host: to, port, localAddress: from });
  kept.on("connect", () => kept?.write("who am I"));
  return firstData(kept, 2_000);
}

function say(withinMs: number): Promise<string> {
  kept?.write("still there?");
  return kept === undefined ? Promise.resolve("nothing is open") : firstData(kept, withinMs);
}

function firstData(socket: Socket, withinMs: number): Promise<string> {
  return new Promise((resolve) => {
    setTimeout(() => resolve("silence"), withinMs);
    socket.once("data", (data) => resolve(data.toString()));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "failed"));
  });
}
