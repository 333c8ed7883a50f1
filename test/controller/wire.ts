import { connect as connectTcp } from "node:net";
import { WebSocket } from "ws";
import type { RegionSigner } from "../../lab/certificates.ts";
import {
  type Challenge,
  type ClientMessage,
  type ControllerMessage,
  proofText,
} from "../../protocol/messages.ts";
import { type KeyPair, makeIdentityKey, makeWireguardKey, signText } from "../../protocol/node/keys.ts";
import { until } from "../support/until.ts";

/** A WebSocket of the test's own, which may break every rule. */
export class Raw {
  readonly socket: WebSocket;
  readonly heard: ControllerMessage[] = [];
  closed: number | undefined;

  constructor(url: string, path = "/link", ca?: string) {
    this.socket = new WebSocket(`${url.replace("http", "ws")}${path}`, ca === undefined ? {} : { ca });
    this.socket.on("message", (data) => this.heard.push(JSON.parse(data.toString())));
    this.socket.on("error", () => {});
    this.socket.on("close", (code) => {
      this.closed = code;
    });
  }

  send(message: ClientMessage | string | Buffer): void {
    this.socket.send(
      typeof message === "object" && !Buffer.isBuffer(message) ? JSON.stringify(message) : message,
    );
  }

  challenge(): Promise<Challenge> {
    return until("a challenge", () => this.heard.find((message) => message.type === "challenge"));
  }

  end(): Promise<number> {
    return until("the close", () => this.closed);
  }

  refusal(): string | undefined {
    return this.heard.find((message) => message.type === "refused")?.code;
  }
}

let number = 0;

/** An agent with real keys and a really signed document. */
export class WireAgent {
  readonly identity = makeIdentityKey();
  readonly wireguard = makeWireguardKey();
  readonly instanceId = `i-${(++number).toString(16).padStart(17, "0")}`;
  readonly ip = `10.0.0.${number}`;
  readonly #signer: RegionSigner;

  constructor(signer: RegionSigner) {
    this.#signer = signer;
  }

  document(change: object = {}): string {
    const document = {
      accountId: "123456789012",
      region: "us-east-1",
      availabilityZone: "us-east-1a",
      instanceId: this.instanceId,
      privateIp: this.ip,
      ...change,
    };
    return JSON.stringify(document, undefined, 2);
  }

  enrol(
    challenge: Challenge,
    otp: string,
    change: Partial<ClientMessage & { type: "enrol" }> = {},
  ): ClientMessage {
    const document = this.document();
    return {
      type: "enrol",
      ...proof(this.identity, challenge),
      otp,
      wireguardKey: this.wireguard.publicKey,
      document,
      documentSignature: this.#signer.sign(document),
      ec2InstanceId: this.instanceId,
      managementIp: this.ip,
      vpcId: "vpc-0123456789abcdef0",
      subnetId: "subnet-0123456789abcdef0",
      ...change,
    };
  }

  hello(challenge: Challenge): ClientMessage {
    return {
      type: "hello",
      role: "agent",
      ...proof(this.identity, challenge),
      wireguardKey: this.wireguard.publicKey,
    };
  }
}

function proof(identity: KeyPair, challenge: Challenge) {
  return {
    version: 1,
    minimumVersion: 1,
    identityKey: identity.publicKey,
    signature: signText(identity, proofText("agent", challenge, identity.publicKey)),
    software: "0.1.0",
    wallMs: Date.now(),
  };
}

/** A WebSocket handshake by hand, to read the refusal as it is on the wire. */
export function upgrade(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
    const headers = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
    const handshake = [
      "GET /link HTTP/1.1",
      "Host: x",
      ...headers,
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    socket.write(`${handshake.join("\r\n")}\r\n\r\n`);
  });
}
