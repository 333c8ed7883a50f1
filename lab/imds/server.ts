// The emulated metadata service on a loopback port, with the methods by which a test or the lab plays AWS.
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Fault, type FaultKind, Faults } from "./faults.ts";
import { type DocumentSigner, signedIdentity } from "./identity.ts";
import type { Instance } from "./instance.ts";
import { type Answer, MetadataService, type Request } from "./service.ts";
import { Tokens } from "./tokens.ts";
import { InstanceWorld, type LifecycleState, type SpotAction } from "./world.ts";

export interface ImdsOptions {
  instance: Instance;
  /** Of the instance's region. */
  signer: DocumentSigner;
  /** Wall time in ms. */
  now?: () => number;
  /** How long an assignment takes to be seen, both ways, ms. */
  propagationMs?: number;
  host?: string;
  /** 0, the default, takes a free one. */
  port?: number;
}

export interface Imds extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, fit for AWS_EC2_METADATA_SERVICE_ENDPOINT. */
  readonly url: string;
  readonly world: InstanceWorld;
  /** The last requests, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** On the primary interface unless a MAC is named. @throws RangeError where EC2 would refuse. */
  assignPrefix(cidr: string, mac?: string): void;
  /** @throws RangeError when it is not assigned. */
  unassignPrefix(cidr: string, mac?: string): void;
  /** In two minutes unless a time is named; undefined takes the notice back. */
  spotNotice(action: SpotAction["action"] | undefined, atMs?: number): void;
  rebalance(recommended: boolean): void;
  /** Undefined: not in an Auto Scaling group. */
  asgState(state: LifecycleState | undefined): void;
  /** Replaces a fault of the same kind; for ever unless a duration in ms is given. */
  fault(fault: Fault, forMs?: number): void;
  /** One kind, or all. */
  clearFault(kind?: FaultKind): void;
}

export interface SeenRequest {
  method: string;
  target: string;
  /** Undefined when no answer was given. */
  status: number | undefined;
}

// BOUNDED: connections open at once, and requests remembered.
const connectionsMax = 256;
const requestsRemembered = 512;
const spotNoticeMs = 120_000;

/** @throws RangeError when the signer is of another region, Error when the port cannot be had. */
export async function startImds(options: ImdsOptions): Promise<Imds> {
  const { instance, signer, now = Date.now, host = "127.0.0.1", port = 0 } = options;
  const world = new InstanceWorld(instance, options.propagationMs);
  const faults = new Faults();
  const service = new MetadataService(
    world,
    faults,
    signedIdentity(instance, signer),
    new Tokens(randomBytes(32)),
  );
  const requests: SeenRequest[] = [];
  const server = createServer((message, response) => {
    message.resume();
    const answer = service.answer(requestOf(message), now());
    requests.push({ method: message.method ?? "", target: message.url ?? "", status: statusOf(answer) });
    if (requests.length > requestsRemembered) requests.shift();
    send(answer, response);
  });
  server.maxConnections = connectionsMax;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const primaryMac = instance.interfaces[0].mac;
  return {
    url: urlOf(server.address()),
    world,
    requests,
    assignPrefix: (cidr, mac = primaryMac) => world.assignPrefix(cidr, mac, now()),
    unassignPrefix: (cidr, mac = primaryMac) => world.unassignPrefix(cidr, mac, now()),
    spotNotice: (action, atMs = now() + spotNoticeMs) => world.setSpotAction(action && { action, atMs }),
    rebalance: (recommended) => world.setRebalanceNotice(recommended ? now() : undefined),
    asgState: (state) => world.setTargetLifecycleState(state),
    fault: (fault, forMs) => faults.set(fault, forMs === undefined ? undefined : now() + forMs),
    clearFault: (kind) => faults.clear(kind),
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function requestOf(message: IncomingMessage): Request {
  return {
    method: message.method ?? "",
    target: message.url ?? "/",
    ttlHeader: header(message, "x-aws-ec2-metadata-token-ttl-seconds"),
    tokenHeader: header(message, "x-aws-ec2-metadata-token"),
    forwardedForHeader: header(message, "x-forwarded-for"),
  };
}

function header(message: IncomingMessage, name: string): string | undefined {
  const value = message.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

function send(answer: Answer, response: ServerResponse): void {
  if (answer.kind === "silence") return;
  const { delayMs, reply } = answer;
  const write = () => {
    const length = Buffer.byteLength(reply.body);
    response.writeHead(reply.status, { ...reply.headers, "Content-Length": length, Connection: "close" });
    response.end(reply.body);
  };
  if (delayMs === 0) write();
  else {
    const timer = setTimeout(write, delayMs);
    response.once("close", () => clearTimeout(timer));
  }
}

function statusOf(answer: Answer): number | undefined {
  return answer.kind === "silence" ? undefined : answer.reply.status;
}

function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === "string")
    throw new Error("the metadata service has no TCP address");
  return address.family === "IPv6"
    ? `http://[${address.address}]:${address.port}`
    : `http://${address.address}:${address.port}`;
}
