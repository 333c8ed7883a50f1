import { createServer, type Server, type Socket } from "node:net";

// BOUNDED: connections at once.
const connectionsMax = 256;

/**
 * Carries every connection that arrives at a listening socket on to one that `open` makes, until it is disposed of. The
 * socket may have come from another process; it is accepted from here from now on.
 */
export function relay(arriving: Server, open: () => Socket): Disposable {
  const ends = new Set<Socket>();
  const keep = (socket: Socket) => {
    ends.add(socket);
    socket.once("close", () => ends.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, (incoming) => {
    const outgoing = open();
    for (const socket of [incoming, outgoing]) keep(socket);
    incoming.pipe(outgoing).pipe(incoming);
    incoming.once("error", () => outgoing.destroy());
    outgoing.once("error", () => incoming.resetAndDestroy());
  });
  server.maxConnections = connectionsMax;
  server.listen(arriving);
  return {
    [Symbol.dispose]: () => {
      server.close();
      // Who was cut off from power, or from the network, ends nothing.
      for (const socket of ends) socket.destroy();
    },
  };
}
