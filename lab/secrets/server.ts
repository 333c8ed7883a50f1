// Parameter Store and Secrets Manager on one loopback port, one call of each, in AWS's JSON protocol: an OTP's two places.
// AWS_ENDPOINT_URL_SSM and AWS_ENDPOINT_URL_SECRETS_MANAGER lead AWS's clients to it.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface SecretStores extends AsyncDisposable {
  readonly url: string;
  /** SecureString parameters by name, and secrets by id. A test writes them. */
  readonly parameters: Map<string, string>;
  readonly secrets: Map<string, string>;
  /** Calls that are refused with AccessDeniedException, as `ssm:GetParameter`. */
  readonly denied: Set<string>;
  /** How many requests were answered. */
  readonly answered: () => number;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

export async function startSecretStores(): Promise<SecretStores> {
  const parameters = new Map<string, string>();
  const secrets = new Map<string, string>();
  const denied = new Set<string>();
  let answered = 0;
  const answer = (target: string, asked: Readonly<Record<string, unknown>>): Answer => {
    switch (target) {
      case "AmazonSSM.GetParameter": {
        const name = String(asked.Name);
        const value = parameters.get(name);
        if (denied.has("ssm:GetParameter"))
          return refused("AccessDeniedException", `not authorized on ${name}`);
        if (value === undefined) return refused("ParameterNotFound", "");
        // Without leave to decrypt, a SecureString's value is its ciphertext.
        const shown = asked.WithDecryption === true ? value : "AQICAHh…";
        return {
          status: 200,
          body: { Parameter: { Name: name, Type: "SecureString", Value: shown, Version: 1 } },
        };
      }
      case "secretsmanager.GetSecretValue": {
        const id = String(asked.SecretId);
        const value = secrets.get(id);
        if (denied.has("secretsmanager:GetSecretValue"))
          return refused("AccessDeniedException", `not authorized on ${id}`);
        if (value === undefined)
          return refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
        return { status: 200, body: { Name: id, SecretString: value } };
      }
      default:
        return refused("UnknownOperationException", "");
    }
  };
  const server = createServer(async (message, response) => {
    const signed = message.headers.authorization?.startsWith("AWS4-HMAC-SHA256 Credential=") === true;
    const { status, body } = signed
      ? answer(String(message.headers["x-amz-target"]), await bodyOf(message))
      : refused("MissingAuthenticationTokenException", "Missing Authentication Token");
    response.writeHead(status, { "Content-Type": "application/x-amz-json-1.1" }).end(JSON.stringify(body));
    answered++;
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    parameters,
    secrets,
    denied,
    answered: () => answered,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function refused(type: string, text: string): Answer {
  return { status: 400, body: { __type: type, message: text } };
}

async function bodyOf(message: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>;
}
