// transfer-program.ts ADDRESS PORT BYTES: sends so many bytes to an echo, and says `done` when all of them came back
// as they were sent; says `begun` when a tenth has.
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const [, , address = "", port = "", bytes = ""] = process.argv;
const total = Number(bytes);
const chunk = Buffer.alloc(64 * 1024, "the same text over and over; ");

function* chunks() {
  for (let sent = 0; sent < total; sent += chunk.length) yield chunk.subarray(0, total - sent);
}

const expected = createHash("sha256");
for (const part of chunks()) expected.update(part);

const socket = connect({ host: address, port: Number(port) });
const seen = createHash("sha256");
let received = 0;
socket.on("data", (data: Buffer) => {
  if (received < total / 10 && received + data.length >= total / 10) process.stdout.write("begun\n");
  received += data.length;
  seen.update(data);
});
await Promise.all([
  pipeline(Readable.from(chunks()), socket),
  new Promise((end) => socket.once("close", end)),
]);
const isSame = received === total && seen.digest("hex") === expected.digest("hex");
process.stdout.write(isSame ? "done\n" : `only ${received} of ${total} bytes, or others\n`);
