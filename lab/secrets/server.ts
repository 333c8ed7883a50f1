// Parameter Store and Secrets Manager on one loopback port, in AWS's JSON protocol: an OTP's two places, and who puts it there.
// AWS_ENDPOINT_URL_SSM and AWS_ENDPOINT_URL_SECRETS_MANAGER lead AWS's clients to it.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface SecretStores extends AsyncDisposable {
  readonly url: string;
  /** SecureString parameters by name, and secrets by id. A test may write them. */
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

type Asked = Readonly<Record<string, unknown>>;
type Call = (asked: Asked) => Answer;

export async function startSecretStores(): Promise<SecretStores> {
  const parameters = new Map<string, string>();
  const secrets = new Map<string, string>();
  const denied = new Set<string>();
  let answered = 0;
  const calls: Readonly<Record<string, Call>> = {
    ...parameterStore(parameters),
    "secretsmanager.GetSecretValue": ({ SecretId }) => {
      const value = secrets.get(String(SecretId));
      if (value === undefined)
        return refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
      return done({ Name: SecretId, SecretString: value });
    },
  };
  const answer = (target: string, asked: Asked): Answer => {
    const call = calls[target];
    if (call === undefined) return refused("UnknownOperationException", "");
    const action = target.replace("AmazonSSM.", "ssm:").replace("secretsmanager.", "secretsmanager:");
    if (denied.has(action)) return refused("AccessDeniedException", `not authorized to perform: ${action}`);
    return call(asked);
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

function parameterStore(parameters: Map<string, string>): Readonly<Record<string, Call>> {
  return {
    "AmazonSSM.GetParameter": ({ Name, WithDecryption }) => {
      const value = parameters.get(String(Name));
      if (value === undefined) return refused("ParameterNotFound", "");
      // Without leave to decrypt, a SecureString's value is its ciphertext.
      const shown = WithDecryption === true ? value : "AQICAHh…";
      return done({ Parameter: { Name, Type: "SecureString", Value: shown, Version: 1 } });
    },
    "AmazonSSM.PutParameter": ({ Name, Value, Type, Overwrite }) => {
      // An OTP in clear is what nobody should put there.
      if (Type !== "SecureString") return refused("ValidationException", "not a SecureString");
      if (parameters.has(String(Name)) && Overwrite !== true)
        return refused("ParameterAlreadyExists", "The parameter already exists.");
      parameters.set(String(Name), String(Value));
      return done({ Tier: "Standard", Version: 1 });
    },
    "AmazonSSM.DeleteParameter": ({ Name }) =>
      parameters.delete(String(Name)) ? done({}) : refused("ParameterNotFound", ""),
  };
}

function done(body: object): Answer {
  return { status: 200, body };
}

function refused(type: string, text: string): Answer {
  return { status: 400, body: { __type: type, message: text } };
}

async function bodyOf(message: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>;
}
