import { createServer } from "node:net";

/** Below the range from which the kernel takes ports for outgoing connections (32768 and up, ip(7)). */
const firstPort = 20_000;
const lastPort = 32_000;
/** From anywhere, for there are others; and then in turn: who was given a port may not listen on it yet. */
let next = Math.floor(Math.random() * (lastPort - firstPort));

/** A TCP port on loopback that is free now, and that no outgoing connection takes while its owner restarts. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + (next++ % (lastPort - firstPort));
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer()
    .once("error", () => resolve(false))
    .listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  return promise;
}
