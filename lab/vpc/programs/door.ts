// door.ts ADDRESS PORT: carries what arrives at a socket of another namespace, which its parent hands over, to a port here.
import { connect, type Server } from "node:net";
import { relay } from "../relay.ts";

const [host = "", port = ""] = process.argv.slice(2);

process.once("message", (_, socket) => {
  relay(socket as Server, () => connect({ host, port: Number(port), allowHalfOpen: true }));
  process.send?.("ready");
});
process.once("disconnect", () => process.exit());
