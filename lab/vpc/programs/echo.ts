// echo.ts PORT: sends back what it gets, TCP and UDP (RFC 862).
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { tellListening } from "./common.ts";

const port = Number(process.argv[2]);

createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
}).listen({ host: "::", port }, () => tellListening(`tcp ${port}`));

const udp = createSocket({ type: "udp6" });
udp.on("message", (message, { port: from, address }) => udp.send(message, from, address));
// What could not be delivered is lost, as UDP has it.
udp.on("error", () => {});
udp.bind(port, () => tellListening(`udp ${port}`));
