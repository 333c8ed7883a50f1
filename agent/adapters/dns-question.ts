import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import type { Heard } from "../core/resolver-health.ts";

export interface Question {
  readonly server: string;
  /** With a dot between its labels; empty for the root. */
  readonly name: string;
  /** The local address to ask from; the kernel's choice when undefined. */
  readonly from?: string;
  readonly withinMs: number;
}

/** Asks a server for the name servers of a name, once, over UDP (RFC 1035). A refusal is an answer too. */
export async function ask({ server, name, from, withinMs }: Question): Promise<Heard> {
  const { promise, resolve } = Promise.withResolvers<Heard>();
  const socket = createSocket(server.includes(":") ? "udp6" : "udp4");
  const id = randomInt(65_536);
  const timer = setTimeout(() => resolve("silence"), withinMs);
  socket.on("error", (error: NodeJS.ErrnoException) =>
    resolve(error.code === "EADDRNOTAVAIL" ? "no such address here" : "silence"),
  );
  socket.on("message", (message) => {
    if (message.length >= 12 && message.readUInt16BE(0) === id) resolve("answer");
  });
  // Connected: the kernel takes answers from nobody else, and a closed port is told at once.
  const connect = () =>
    socket.connect(53, server, (error?: Error) => {
      if (error === undefined) socket.send(questionText(id, name), () => undefined);
      else resolve("silence");
    });
  if (from === undefined) connect();
  else socket.bind(0, from, connect);
  const heard = await promise;
  clearTimeout(timer);
  socket.close();
  return heard;
}

/** RFC 1035, 4.1; no recursion desired, so that nobody else is troubled. */
function questionText(id: number, name: string): Buffer {
  const header = [id >> 8, id & 255, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  const labels = name.split(".").filter(Boolean);
  const [typeNs, classIn] = [2, 1];
  return Buffer.from([
    ...header,
    ...labels.flatMap((label) => [label.length, ...Buffer.from(label)]),
    ...[0, 0, typeNs, 0, classIn],
  ]);
}
