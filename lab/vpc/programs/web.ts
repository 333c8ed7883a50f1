// web.ts NAME PORT…: an HTTP server that says which address asked (GET /), and sends as much as is wanted (GET /bytes/N).
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { WebAnswer } from "../questions.ts";
import { plainAddress, tellListening } from "./common.ts";

const [application = "web", ...ports] = process.argv.slice(2);
const bytesMax = 2 ** 34;
const chunk = Buffer.alloc(65_536);

for (const port of ports) {
  const server = createServer(answer).listen({ host: "::", port: Number(port) }, () => tellListening(port));
  // A download ends when its reader has gone for good, however long that takes.
  server.requestTimeout = 0;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? "/", "http://web");
  const bytes = /^\/bytes\/(\d{1,11})$/.exec(pathname)?.[1];
  if (bytes !== undefined) sendBytes(response, Math.min(Number(bytes), bytesMax));
  else if (pathname === "/") sendAddress(request, response);
  else response.writeHead(404).end();
}

function sendAddress({ socket }: IncomingMessage, response: ServerResponse): void {
  const { remoteAddress = "", remotePort: port = 0 } = socket;
  const said: WebAnswer = { application, address: plainAddress(remoteAddress), port };
  response.writeHead(200, { "Content-Type": "application/json" }).end(`${JSON.stringify(said)}\n`);
}

function sendBytes(response: ServerResponse, total: number): void {
  response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": total });
  Readable.from(chunks(total)).pipe(response);
}

function* chunks(total: number): Generator<Buffer> {
  for (let left = total; left > 0; left -= chunk.length) {
    yield left < chunk.length ? chunk.subarray(0, left) : chunk;
  }
}
