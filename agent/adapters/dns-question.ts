import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import type { Heard } from "../core/resolver-health.ts";

/** The records that are addresses. */
export type Address = "A" | "AAAA";

export interface Question {
  readonly server: string;
  /** With a dot between its labels; empty for the root. */
  readonly name: string;
  /** Recursion is desired for addresses only: who asks whether a server is there should trouble nobody else. */
  readonly type: "NS" | Address;
  /** The local address to ask from; the kernel's choice when undefined. */
  readonly from?: string;
  readonly withinMs: number;
}

/** Asks a server for the records of a name, once, over UDP (RFC 1035). */
export async function ask({ server, name, type, from, withinMs }: Question): Promise<Heard> {
  const { promise, resolve } = Promise.withResolvers<Heard>();
  const socket = createSocket(server.includes(":") ? "udp6" : "udp4");
  const id = randomInt(65_536);
  const timer = setTimeout(() => resolve("silence"), withinMs);
  socket.on("error", (error: NodeJS.ErrnoException) =>
    resolve(error.code === "EADDRNOTAVAIL" ? "no such address here" : "silence"),
  );
  socket.on("message", (message) => {
    if (message.length >= 12 && message.readUInt16BE(0) === id)
      resolve(isRefusal(message) ? "refusal" : "answer");
  });
  // Connected: the kernel takes answers from nobody else, and a closed port is told at once.
  const connect = () =>
    socket.connect(53, server, (error?: Error) => {
      if (error === undefined) socket.send(questionText(id, name, type), () => undefined);
      else resolve("silence");
    });
  if (from === undefined) connect();
  else socket.bind(0, from, connect);
  const heard = await promise;
  clearTimeout(timer);
  socket.close();
  return heard;
}

/** SERVFAIL and REFUSED (RFC 1035, 4.1.1). That there is no such name is an answer. */
function isRefusal(message: Buffer): boolean {
  const rcode = message.readUInt8(3) & 15;
  return rcode === 2 || rcode === 5;
}

const types = { NS: 2, A: 1, AAAA: 28 } as const;

/** RFC 1035, 4.1, and RFC 3596. */
function questionText(id: number, name: string, type: Question["type"]): Buffer {
  const recursionDesired = type === "NS" ? 0 : 1;
  const header = [id >> 8, id & 255, recursionDesired, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  const labels = name.split(".").filter(Boolean);
  const classIn = 1;
  return Buffer.from([
    ...header,
    ...labels.flatMap((label) => [label.length, ...Buffer.from(label)]),
    ...[0, 0, types[type], 0, classIn],
  ]);
}
