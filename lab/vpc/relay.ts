import { createServer, type Server, type Socket } from "node:net";

// BOUNDED: connections at once.
const connectionsMax = 256;

/**
 * Carries every connection that arrives at a listening socket on to one that `open` makes. The socket may have come
 * from another process; it is accepted from here from now on.
 */
export function relay(arriving: Server, open: () => Socket): Server {
  const server = createServer({ allowHalfOpen: true }, (incoming) => {
    const outgoing = open();
    incoming.pipe(outgoing).pipe(incoming);
    incoming.once("error", () => outgoing.destroy());
    outgoing.once("error", () => incoming.resetAndDestroy());
  });
  server.maxConnections = connectionsMax;
  return server.listen(arriving);
}
