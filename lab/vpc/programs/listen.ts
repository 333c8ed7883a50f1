// Listens on a free port of the namespace it runs in, hands the socket to its parent, and ends.
import { createServer } from "node:net";

const server = createServer().listen({ host: "::", port: 0 }, () => process.send?.("socket", server));
process.once("disconnect", () => process.exit());
