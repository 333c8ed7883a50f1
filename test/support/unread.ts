import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/**
 * As after a time in which this process was not let run: timers are over their time, and on a socket lies what nobody has
 * read yet. `onWord` is told of it; `pass` lets that time pass.
 */
export async function unread(
  onWord: () => void,
): Promise<AsyncDisposable & { readonly pass: (ms: number) => void }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const ours = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [[theirs]] = await Promise.all([accepted, once(ours, "connect")]);
  ours.once("data", onWord);
  return {
    pass: (ms) => {
      theirs.write("a word");
      for (const until = performance.now() + ms; performance.now() < until; );
    },
    [Symbol.asyncDispose]: async () => {
      ours.destroy();
      theirs.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
