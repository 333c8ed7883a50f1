import { execFile } from "node:child_process";
import { cpSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type SecretStores, startSecretStores } from "../../lab/secrets/server.ts";
import { temporaryFolder } from "../support/folder.ts";

const root = join(import.meta.dirname, "..", "..");
export const tokenSecret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:connector-admin";

export interface Aws extends AsyncDisposable {
  readonly stores: SecretStores;
  /** Lifecycle actions that were completed, with their results. */
  readonly completed: Record<string, string>[];
  /** The function as Lambda runs it, with so much of its time left, ms. Answers its exit code and what it logged. */
  invoke(event: object, remainingMs: number, env: Readonly<Record<string, string>>): Promise<Ran>;
}

export interface Ran {
  readonly code: number;
  readonly lines: Record<string, unknown>[];
  readonly err: string;
}

/** AWS as the hook's function sees it: the three services it calls, and its folder with the archive's three files. */
export async function startAws(ca: string): Promise<Aws> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder()).path;
  cpSync(join(root, "cloud-init", "terraform", "hook"), folder, { recursive: true });
  writeFileSync(join(folder, "ca.pem"), ca);
  // Lambda's runtime has AWS's clients; here they are ours.
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const stores = stack.use(await startSecretStores());
  const { url, completed, close } = await startAutoScaling();
  stack.defer(close);
  const owned = stack.move();
  return {
    stores,
    completed,
    invoke: (event, remainingMs, settings) =>
      new Promise((resolve) => {
        const env = {
          AWS_REGION: "us-east-1",
          AWS_ACCESS_KEY_ID: "AKIALAB",
          AWS_SECRET_ACCESS_KEY: "s",
          AWS_ENDPOINT_URL_SSM: stores.url,
          AWS_ENDPOINT_URL_SECRETS_MANAGER: stores.url,
          AWS_ENDPOINT_URL_AUTO_SCALING: url,
          ADMIN_TOKEN_SECRET: tokenSecret,
          EVENT: JSON.stringify(event),
          REMAINING_MS: String(remainingMs),
          ...settings,
        };
        const words = ["--input-type=module", "--eval", runtime];
        const options = { env, cwd: folder, timeout: 90_000 };
        const child = execFile(process.execPath, words, options, (_error, out, err) => {
          const lines = out
            .trim()
            .split("\n")
            .filter((line) => line !== "");
          resolve({ code: child.exitCode ?? -1, lines: lines.map((line) => JSON.parse(line)), err });
        });
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What Lambda does with an event. */
const runtime = `
  import { handler } from "./index.mjs";
  const untilMs = performance.now() + Number(process.env.REMAINING_MS);
  const getRemainingTimeInMillis = () => untilMs - performance.now();
  await handler(JSON.parse(process.env.EVENT), { getRemainingTimeInMillis });
`;

/** CompleteLifecycleAction in AWS's query protocol. A second completion of one action is refused, as AWS does. */
async function startAutoScaling() {
  const completed: Record<string, string>[] = [];
  const server = createServer(async (message, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const asked = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
    const isOver = completed.some(
      ({ LifecycleActionToken }) => LifecycleActionToken === asked.LifecycleActionToken,
    );
    const problem =
      "<Error><Type>Sender</Type><Code>ValidationError</Code><Message>No active Lifecycle Action found</Message></Error>";
    if (!isOver) completed.push(asked);
    response.writeHead(isOver ? 400 : 200, { "content-type": "text/xml" });
    response.end(
      isOver
        ? `<ErrorResponse>${problem}</ErrorResponse>`
        : "<CompleteLifecycleActionResponse><CompleteLifecycleActionResult/></CompleteLifecycleActionResponse>",
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    completed,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
