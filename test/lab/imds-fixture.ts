import { request } from "node:http";
import { createRegionSigner } from "../../lab/certificates.ts";
import { type Instance, instanceNumbered } from "../../lab/imds/instance.ts";
import { type Imds, type ImdsOptions, startImds } from "../../lab/imds/server.ts";

export interface HttpAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export const signer = await createRegionSigner("us-east-1");
export const macsPath = "/latest/meta-data/network/interfaces/macs";

export function start(options: Partial<ImdsOptions> & { instance?: Instance } = {}): Promise<Imds> {
  return startImds({ instance: instanceNumbered(1), signer, ...options });
}

/** A request as it is written, with nothing normalised on the way. Rejects when no answer comes in time. */
export function ask(
  imds: Imds,
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<HttpAnswer> {
  const { hostname, port } = new URL(imds.url);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { hostname, port, path, method, headers, agent: false, timeout: 5_000 },
      (incoming) => {
        let body = "";
        incoming.setEncoding("utf8");
        incoming.on("data", (chunk: string) => {
          body += chunk;
        });
        incoming.on("end", () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }),
        );
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer")));
    outgoing.on("error", reject);
    outgoing.end();
  });
}

export async function tokenOf(imds: Imds, ttlSeconds = 21_600): Promise<string> {
  const answer = await ask(imds, "PUT", "/latest/api/token", {
    "X-aws-ec2-metadata-token-ttl-seconds": String(ttlSeconds),
  });
  if (answer.status !== 200) throw new Error(`no token: ${answer.status}`);
  return answer.body;
}

/** GETs with one token, as a client that has fetched it would. */
export async function reader(imds: Imds): Promise<(path: string) => Promise<HttpAnswer>> {
  const token = await tokenOf(imds);
  return (path) => ask(imds, "GET", path, { "X-aws-ec2-metadata-token": token });
}
