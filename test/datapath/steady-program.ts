// steady-program.ts ADDRESS PORT: one connection to an echo, on which it says a line and waits for it to come back, and so
// on; a dot for each. Ends when the connection does.
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const [, , address = "", port = ""] = process.argv;
const line = "still there\n";
const socket = connect({ host: address, port: Number(port) }, () => socket.write(line));
let heard = 0;
for await (const data of socket) {
  heard += (data as Buffer).length;
  if (heard < line.length) continue;
  heard = 0;
  process.stdout.write(".");
  await sleep(20);
  socket.write(line);
}
