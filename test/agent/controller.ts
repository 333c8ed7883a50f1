import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { decodeClient, encode } from "../../protocol/codec.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import {
  type ClientMessage,
  type ControllerMessage,
  type Enrol,
  proofText,
} from "../../protocol/messages.ts";
import { verifyText } from "../../protocol/node/keys.ts";
import { StateReceiver, StateSender } from "../../protocol/sync.ts";
import { controllerId, enrolment } from "./world.ts";

/** One connector's controller, as small as it can be: checks proofs, spends one password per key, keeps two maps. */
export async function scriptedController(otp: string) {
  const http = createServer();
  const server = new WebSocketServer({ server: http, path: "/link" });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const nonce = "N".repeat(43);
  const desired = new Map<string, unknown>();
  const observed = new Map<string, unknown>();
  const heard: ClientMessage[] = [];
  const sender = new StateSender(desired as Map<string, unknown> & { get(key: string): unknown });
  const receiver = new StateReceiver();
  let link: WebSocket | undefined;
  let spentBy: string | undefined;

  const say = (message: ControllerMessage) => link?.send(encode(message));
  const flush = () => {
    for (const frame of sender.frames(performance.now())) say(frame);
  };
  const refuse = (code: FailureCode) => {
    say({ type: "refused", code, text: "said the script" });
    link?.close(4000);
  };
  const welcome = () => {
    say({ type: "welcome", version: 1, heartbeatMs: 1_000, silentMs: 5_000, name: enrolment.name });
    sender.connect();
    receiver.connect();
    flush();
  };
  const proves = ({ identityKey, signature }: { identityKey: string; signature: string }) =>
    verifyText(identityKey, proofText("agent", { nonce, controller: controllerId }, identityKey), signature);

  const controller = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    desired,
    observed,
    heard,
    /** Ends the connection after `enrolled`, once: the answer is spent, the agent may not know. */
    dropsAfterEnrolling: false,
    /** Refuses whatever comes. */
    refuses: undefined as FailureCode | undefined,
    connections: 0,
    last: <T extends ClientMessage["type"]>(type: T) =>
      heard.findLast((message): message is Extract<ClientMessage, { type: T }> => message.type === type),
    want(entries: Record<string, unknown>) {
      for (const [key, value] of Object.entries(entries)) {
        if (value === undefined) desired.delete(key);
        else desired.set(key, value);
        sender.touch(key);
      }
      flush();
    },
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
      await new Promise((resolve) => http.close(resolve));
    },
  };

  function enrol(message: Enrol): void {
    if (message.otp !== otp) refuse("otp.unknown");
    else if (spentBy !== undefined && spentBy !== message.identityKey) refuse("otp.used");
    else {
      spentBy = message.identityKey;
      say({ type: "enrolled", ...enrolment });
      if (!controller.dropsAfterEnrolling) welcome();
      else {
        controller.dropsAfterEnrolling = false;
        link?.terminate();
      }
    }
  }

  function answer(message: ClientMessage): void {
    if (message.type === "enrol" || message.type === "hello") {
      if (controller.refuses !== undefined) refuse(controller.refuses);
      else if (!proves(message)) refuse("link.proof-wrong");
      else if (message.type === "enrol") enrol(message);
      else if (message.identityKey === spentBy) welcome();
      else refuse("link.identity-unknown");
      return;
    }
    if (message.type === "ping") say({ type: "pong", id: message.id });
    if (message.type === "ack") sender.acked(message.revision);
    if (message.type === "resync") sender.resync();
    if (message.type === "state") report(message);
    flush();
  }

  function report(message: Extract<ClientMessage, { type: "state" }>): void {
    const received = receiver.receive(message);
    if (received.is === "change") {
      if (received.snapshot) observed.clear();
      for (const [key, value] of received.set) observed.set(key, value);
      for (const key of received.remove) observed.delete(key);
    }
    if (received.is === "change" || received.is === "repeated") say({ type: "ack", revision: received.ack });
  }

  server.on("connection", (socket) => {
    controller.connections += 1;
    link = socket;
    socket.on("error", () => {});
    socket.on("close", () => {
      if (link === socket) sender.disconnect();
    });
    socket.on("message", (data) => {
      const decoded = decodeClient(data.toString());
      if (!decoded.ok || decoded.value.type === "unknown") throw new Error(`not a message: ${data}`);
      heard.push(decoded.value);
      answer(decoded.value);
    });
    say({
      type: "challenge",
      nonce,
      version: 1,
      minimumVersion: 1,
      controller: controllerId,
      wallMs: Date.now(),
    });
  });
  return controller;
}
