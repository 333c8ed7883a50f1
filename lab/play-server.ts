import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Lab } from "./lab.ts";
import { act, Play } from "./play.ts";

export interface Played {
  readonly ok: boolean;
  readonly text: string;
}

/** Takes plays on a Unix socket in the run folder: one JSON line in, one out. */
export async function servePlays(lab: Lab, path: string): Promise<AsyncDisposable> {
  // BOUNDED: closed after one answer each, and cut when they say nothing for a while.
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    clients.add(socket);
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on("close", () => clients.delete(socket)).on("error", () => socket.destroy());
    const lines = createInterface(socket).once("line", async (text) => {
      socket.end(`${JSON.stringify(await answer(lab, text))}\n`);
    });
    // It repeats the errors of its socket: who does not wait for the answer must not end the lab.
    lines.on("error", () => {});
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(path, resolve);
  });
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const client of clients) client.destroy();
      await closed;
    },
  };
}

async function answer(lab: Lab, text: string): Promise<Played> {
  try {
    return { ok: true, text: await act(lab, Play.parse(JSON.parse(text))) };
  } catch (error) {
    return { ok: false, text: (error as Error).message };
  }
}
