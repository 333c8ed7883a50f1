// caller.ts PORT: an application that opens connections towards users, as active FTP or a telephone exchange does. GET
// /call?port=N connects to whoever asks, or to &address=A, and says what came of it.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import type { CallAnswer } from "../questions.ts";
import { plainAddress, tellListening } from "./common.ts";

const ownPort = Number(process.argv[2]);
const withinMs = 1_500;

createServer(answer).listen({ host: "::", port: ownPort }, () => tellListening(ownPort));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://caller");
  const port = Number(searchParams.get("port"));
  if (pathname !== "/call" || !Number.isInteger(port) || port < 1 || port > 65_535) {
    response.writeHead(404).end();
    return;
  }
  const address = searchParams.get("address") ?? plainAddress(request.socket.remoteAddress ?? "");
  const said = await call(address, port);
  response.writeHead(200, { "Content-Type": "application/json" }).end(`${JSON.stringify(said)}\n`);
}

async function call(address: string, port: number): Promise<CallAnswer> {
  const socket = connect({ host: address, port });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(withinMs) });
    socket.end("called\n");
    return { address, port, connected: true };
  } catch (error) {
    const { name, code } = error as NodeJS.ErrnoException;
    socket.destroy();
    return { address, port, connected: false, why: name === "AbortError" ? "ETIMEDOUT" : (code ?? name) };
  }
}
