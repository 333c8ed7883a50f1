// request.ts ADDRESS PORT EVERY_MS WITHIN_MS: asks GET / over and over, whether or not the one before was answered, and
// tells its parent now and then which were. A connection that has answered is used again; while one has not, each request
// is a new connection's, so that the first that can be answered is. Bare sockets and few packets: the processor that this
// takes is missing to those it measures.
import { connect, type Socket } from "node:net";
import { type Heard, monotonicMs } from "../requests.ts";

const [address = "", ...numbers] = process.argv.slice(2);
const [port = 80, everyMs = 20, withinMs = 500] = numbers.map(Number);
const tellEveryMs = 200;
const request = `GET / HTTP/1.1\r\nHost: ${address}\r\n\r\n`;
const good = Buffer.from("HTTP/1.1 200 ");

/** It has answered all that it was asked. */
let idle: Socket | undefined;
/** BOUNDED: by the time in which each must answer. */
const asked = new Set<Socket>();
let answeredAtMs: number[] = [];
let unanswered = 0;
let latestMs = 0;
let cpu = process.cpuUsage();
let dueAtMs = monotonicMs();

function ask(): void {
  const atMs = monotonicMs();
  latestMs = Math.max(latestMs, atMs - dueAtMs);
  const nextAtMs = dueAtMs + everyMs;
  // What was missed is not made up for, all at once.
  dueAtMs = nextAtMs > atMs ? nextAtMs : atMs + everyMs;
  setTimeout(ask, dueAtMs - atMs);
  const socket = idle ?? open();
  idle = undefined;
  asked.add(socket);
  socket.write(request);
}

function open(): Socket {
  const socket = connect({ host: address, port, noDelay: true, timeout: withinMs });
  socket.on("data", (data) => {
    if (!asked.delete(socket)) return;
    if (data.subarray(0, good.length).equals(good)) answeredAtMs.push(monotonicMs());
    else unanswered += 1;
    if (idle === undefined) idle = socket;
    else socket.destroy();
  });
  socket.on("timeout", () => socket.resetAndDestroy());
  socket.on("error", () => {});
  socket.on("close", () => {
    if (asked.delete(socket)) unanswered += 1;
    if (socket === idle) idle = undefined;
  });
  return socket;
}

function tell(): void {
  const used = process.cpuUsage(cpu);
  cpu = process.cpuUsage();
  const cpuMs = (used.user + used.system) / 1_000;
  const heard: Heard = { atMs: monotonicMs(), answeredAtMs, unanswered, latestMs, cpuMs };
  process.send?.(heard);
  answeredAtMs = [];
  unanswered = 0;
  latestMs = 0;
}

process.once("disconnect", () => process.exit());
setInterval(tell, tellEveryMs);
ask();
