import { createServer } from "node:http";
import type { Server } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { decodeClient, encode } from "../../protocol/codec.ts";
import { type ClientMessage, type ControllerMessage, proofText } from "../../protocol/messages.ts";
import { verifyText } from "../../protocol/node/keys.ts";
import type { Attachment } from "../../protocol/state.ts";
import { deviceId } from "./fixture.ts";

/**
 * Accepts every proof that is signed rightly, acknowledges everything, and says what the test tells it to. It listens on
 * the machine's loopback, or on a socket that was made elsewhere.
 */
export async function scriptedController(listening?: Server) {
  const http = createServer();
  const server = new WebSocketServer({ server: http, path: "/link" });
  await new Promise<void>((resolve) => {
    if (listening === undefined) http.listen(0, "127.0.0.1", resolve);
    else http.listen(listening, resolve);
  });
  const address = http.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  const nonce = "B".repeat(43);
  let heard: ClientMessage[] = [];
  const reported = new Map<string, unknown>();
  let link: WebSocket | undefined;
  let revision = 0;
  const say = (message: ControllerMessage) => link?.send(encode(message));
  const controller = {
    url: `http://127.0.0.1:${address.port}`,
    refuseCode: "",
    heard: <T extends ClientMessage["type"]>(type: T) =>
      heard.find((message): message is Extract<ClientMessage, { type: T }> => message.type === type),
    reported: (key: string) => reported.get(key),
    forget: () => {
      heard = [];
      reported.clear();
    },
    attaches(attachment: Attachment) {
      const set: [string, unknown][] = [["attachment", attachment]];
      say({ type: "state", from: revision, to: ++revision, part: 0, last: true, set, remove: [] });
    },
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate();
      server.close();
      await new Promise((resolve) => http.close(resolve));
    },
  };
  server.on("connection", (socket) => {
    link = socket;
    revision = 0;
    const common = { version: 1, minimumVersion: 1, wallMs: Date.now() };
    say({ type: "challenge", nonce, controller: deviceId, ...common });
    socket.on("message", (data) => {
      const decoded = decodeClient(data.toString());
      if (!decoded.ok || decoded.value.type === "unknown") throw new Error("not a message of ours");
      const message = decoded.value;
      heard.push(message);
      answer(message);
    });
  });
  function admit(message: Extract<ClientMessage, { type: "hello" | "join" }>): void {
    const text = proofText("device", { nonce, controller: deviceId }, message.identityKey);
    if (!verifyText(message.identityKey, text, message.signature)) throw new Error("wrong proof");
    if (message.type === "join" && message.code === controller.refuseCode) {
      say({ type: "refused", code: "code.expired", text: "expired" });
      link?.close(4000);
      return;
    }
    if (message.type === "join") say({ type: "joined", device: deviceId, user: "ana", group: "staff" });
    say({ type: "welcome", version: 1, heartbeatMs: 10_000, silentMs: 30_000, name: "laptop" });
  }
  function answer(message: ClientMessage): void {
    switch (message.type) {
      case "hello":
      case "join":
        admit(message);
        return;
      case "state":
        if (message.from === 0) reported.clear();
        for (const [key, value] of message.set) reported.set(key, value);
        for (const key of message.remove) reported.delete(key);
        say({ type: "ack", revision: message.to });
        return;
      case "enrol":
      case "ack":
      case "resync":
      case "ping":
      case "goodbye":
        return;
    }
  }
  return controller;
}
