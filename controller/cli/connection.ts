import { readFileSync, statSync } from "node:fs";
import { failed, type Result, success } from "../../protocol/failures.ts";
import type { World } from "../../protocol/node/world.ts";
import { Secret } from "../../protocol/secret.ts";

/** The options by which a command finds the controller; each has an environment variable in its place. */
export interface ConnectionOptions {
  readonly controller?: string | undefined;
  readonly caFile?: string | undefined;
  readonly tokenFile?: string | undefined;
}

export interface Connection {
  readonly url: URL;
  /** PEM; undefined: the system's CAs. */
  readonly ca: string | undefined;
  readonly token: Secret;
}

/** A token is never taken from the command line, where `ps` and the shell's history would show it. */
export function connectionOf(options: ConnectionOptions, world: World): Result<Connection> {
  const { env } = world;
  const address = options.controller ?? env.CONNECTOR_URL;
  if (address === undefined || address === "") return failed("admin.no-controller");
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !mayCarryToken(url)) {
    return failed("admin.no-controller", { url: address, wanted: "https, or http on loopback" });
  }
  const caFile = options.caFile ?? env.CONNECTOR_CA_FILE;
  const ca = caFile ? readText(caFile, "ca-file") : success(undefined);
  if (!ca.ok) return ca;
  const token = readToken(options, world);
  return token.ok ? success({ url, ca: ca.value, token: new Secret(token.value) }) : token;
}

function readToken(options: ConnectionOptions, { env, complain }: World): Result<string> {
  const file = options.tokenFile ?? (env.CONNECTOR_ADMIN_TOKEN ? undefined : env.CONNECTOR_ADMIN_TOKEN_FILE);
  if (!file) return success(env.CONNECTOR_ADMIN_TOKEN ?? "");
  const text = readText(file, "token-file");
  if (text.ok && (statSync(file).mode & 0o077) !== 0) {
    complain(`connector-controller: others may read the token in ${file}\n  → chmod 600 ${file}\n`);
  }
  return text.ok ? success(text.value.trim()) : text;
}

function readText(path: string, option: string): Result<string> {
  try {
    return success(readFileSync(path, "utf8"));
  } catch (error) {
    const problem = (error as NodeJS.ErrnoException).code ?? String(error);
    return failed("admin.file", { option: `--${option}`, file: path, problem }, error);
  }
}

function mayCarryToken(url: URL): boolean {
  if (url.username !== "" || url.password !== "") return false;
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && isLoopback(url);
}

/** Nobody but this host gets there. */
export function isLoopback({ hostname }: URL): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}
