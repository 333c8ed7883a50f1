// The emulated EC2 endpoint on a loopback port; AWS_ENDPOINT_URL_EC2 leads AWS's clients to it.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { InstanceWorld } from "../imds/world.ts";
import { Ec2Error } from "./errors.ts";
import { type Ec2Action, Ec2Service, ec2Actions } from "./service.ts";

export interface Ec2Options {
  /** The instances of the account, with their interfaces. */
  readonly worlds: readonly InstanceWorld[];
  readonly region: string;
  /** Access key ids that are known, each with all it may do; every action for the roles of `worlds` by default. */
  readonly policy?: ReadonlyMap<string, ReadonlySet<string>>;
  readonly host?: string;
  readonly port?: number;
}

export interface Ec2 extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly { readonly action: string; readonly status: number | undefined }[];
  /** Replaces what the access keys may do. */
  allow(actions: readonly string[]): void;
  /** The next request of this action is refused so. */
  refuseNext(action: Ec2Action, code: string, message: string, status?: number): void;
  /** The next request of this action is carried out, and its answer lost. */
  loseNextAnswer(action: Ec2Action): void;
}

// BOUNDED: a form, and requests remembered.
const bodyBytesMax = 65_536;
const requestsRemembered = 128;

/** @throws Error when the port cannot be had. */
export async function startEc2({
  worlds,
  region,
  policy,
  host = "127.0.0.1",
  port = 0,
}: Ec2Options): Promise<Ec2> {
  const keys = worlds.flatMap(({ instance }) =>
    instance.role === undefined ? [] : [instance.role.accessKeyId],
  );
  const policyOf = (actions: readonly string[]) => new Map(keys.map((key) => [key, new Set(actions)]));
  const service = new Ec2Service(
    worlds,
    region,
    policy ?? policyOf(ec2Actions.map((action) => `ec2:${action}`)),
  );
  const requests: { action: string; status: number | undefined }[] = [];
  // BOUNDED: what a test puts there.
  const lost: string[] = [];
  const server = createServer(async (message, response) => {
    const form = new URLSearchParams(await bodyOf(message));
    const action = form.get("Action") ?? "";
    const { status, body } = service.answer(
      { form, authorization: message.headers.authorization },
      Date.now(),
    );
    const index = lost.indexOf(action);
    if (index >= 0) lost.splice(index, 1);
    requests.push({ action, status: index >= 0 ? undefined : status });
    if (requests.length > requestsRemembered) requests.shift();
    if (index >= 0) response.destroy();
    else
      response.writeHead(status, { "Content-Type": "text/xml;charset=UTF-8", Server: "AmazonEC2" }).end(body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    requests,
    allow: (actions) => {
      service.policy = policyOf(actions);
    },
    refuseNext: (action, code, text, status = 400) => {
      service.refusals.push({ action, error: new Ec2Error(code, text, status) });
    },
    loseNextAnswer: (action) => lost.push(action),
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message) {
    bytes += (chunk as Buffer).length;
    if (bytes <= bodyBytesMax) chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
