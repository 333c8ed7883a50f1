import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { parse } from "yaml";
import { z } from "zod";
import type { LogLevel } from "../../protocol/node/log.ts";
import type { Problem } from "../api/problem.ts";
import { problemsOf } from "../api/validation.ts";
import {
  type CoreSettings,
  contradictions,
  coreDefaults,
  failoverBounds,
  heartbeatBoundsMs,
} from "../core/settings.ts";
import { stateDirProblem } from "./state-dir.ts";

const path = z.string().min(1).max(4096);
const heartbeat = z.int().min(heartbeatBoundsMs.min).max(heartbeatBoundsMs.max);

function bounded(field: keyof typeof failoverBounds) {
  const { min, max } = failoverBounds[field];
  return z.int().min(min).max(max).default(coreDefaults[field]);
}

/** `controller.yaml`. Command-line options of the same meaning win. */
const ConfigFile = z.strictObject({
  listen: z
    .string()
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^:\s[\]]+):\d{1,5}$/, "host:port, as 0.0.0.0:8443 or [::]:8443")
    .default("0.0.0.0:8443"),
  stateDir: path.default("/var/lib/connector-controller"),
  tlsCert: path.optional(),
  tlsKey: path.optional(),
  awsCertificates: path.default("/etc/connector-controller/aws-certificates"),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  agentHeartbeatMs: heartbeat.default(coreDefaults.heartbeatMs.agent),
  deviceHeartbeatMs: heartbeat.default(coreDefaults.heartbeatMs.device),
  settleMs: z.int().min(0).max(600_000).default(coreDefaults.settleMs),
  linkGraceMs: bounded("linkGraceMs"),
  returnGraceMs: bounded("returnGraceMs"),
  witnessesMin: bounded("witnessesMin"),
  pathGraceMs: bounded("pathGraceMs"),
  holdDownMs: bounded("holdDownMs"),
  drainDeadlineMs: bounded("drainDeadlineMs"),
  restartDrainMs: bounded("restartDrainMs"),
  restartReturnMs: bounded("restartReturnMs"),
});
type Fields = z.input<typeof ConfigFile>;

export interface ServeConfig {
  readonly host: string;
  readonly port: number;
  readonly stateDir: string;
  /** PEM texts. Undefined: plain HTTP, on loopback only. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** The folder of AWS's certificates, one `REGION.pem` each. */
  readonly awsCertificates: string;
  readonly logLevel: LogLevel;
  readonly settings: Pick<CoreSettings, "heartbeatMs" | "settleMs" | keyof typeof failoverBounds>;
}

/** Texts and numbers as they were given; `readServeConfig` judges them. */
export type ServeFlags = { readonly config?: string | undefined } & {
  readonly [Field in keyof Fields]: (Fields[Field] extends number | undefined ? number : string) | undefined;
};

export type ConfigOutcome =
  | { readonly ok: true; readonly value: ServeConfig }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Reads file and flags, and every file they name. Tells every problem at once, each with what to do. */
export function readServeConfig({ config, ...flags }: ServeFlags): ConfigOutcome {
  const problems: Problem[] = [];
  const file = config === undefined ? {} : readYaml(config, problems);
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const merged = { ...file, ...given };
  const parsed = ConfigFile.safeParse(merged);
  if (!parsed.success)
    return { ok: false, problems: [...problems, ...problemsOf(ConfigFile, parsed.error, merged)] };
  const { listen, stateDir, awsCertificates, logLevel, tlsCert, tlsKey } = parsed.data;
  const { host, port } = splitListen(listen, problems);
  const tls = readTls(tlsCert, tlsKey, problems);
  if (tlsCert === undefined && tlsKey === undefined && !isLoopback(host)) {
    const fix = "Name a certificate and its key (tlsCert, tlsKey), or listen on 127.0.0.1.";
    problems.push({ field: "tlsCert", problem: `is missing, and ${host} is not loopback`, fix });
  }
  const stateProblem = stateDirProblem(stateDir);
  if (stateProblem !== undefined) {
    const fix = "Make the folder, owned by the user the controller runs as.";
    problems.push({
      field: "stateDir",
      value: stateDir,
      problem: `cannot be written (${stateProblem})`,
      fix,
    });
  }
  checkFolder(awsCertificates, problems);
  const { agentHeartbeatMs: agent, deviceHeartbeatMs: device, settleMs } = parsed.data;
  const { linkGraceMs, returnGraceMs, witnessesMin, pathGraceMs, holdDownMs } = parsed.data;
  const { drainDeadlineMs, restartDrainMs, restartReturnMs } = parsed.data;
  const failover = { linkGraceMs, returnGraceMs, witnessesMin, pathGraceMs, holdDownMs };
  const drains = { drainDeadlineMs, restartDrainMs, restartReturnMs };
  const settings = { heartbeatMs: { agent, device }, settleMs, ...failover, ...drains };
  problems.push(...contradictions({ ...coreDefaults, ...settings }));
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, value: { host, port, stateDir, tls, awsCertificates, logLevel, settings } };
}

function readYaml(file: string, problems: Problem[]): Record<string, unknown> {
  const text = readFile("config", file, problems);
  if (text === undefined) return {};
  try {
    const value: unknown = parse(text, { maxAliasCount: 0 });
    if (value === null) return {};
    if (typeof value === "object" && !Array.isArray(value)) return { ...value };
    problems.push({
      field: "config",
      value: file,
      problem: "holds no fields",
      fix: "Write `field: value` lines.",
    });
  } catch (error) {
    const [problem = "is not YAML"] = (error as Error).message.split("\n", 1);
    problems.push({ field: "config", value: file, problem, fix: "Correct the YAML." });
  }
  return {};
}

function splitListen(listen: string, problems: Problem[]): { host: string; port: number } {
  const colon = listen.lastIndexOf(":");
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = Number(listen.slice(colon + 1));
  if (port > 65_535) {
    problems.push({
      field: "listen",
      value: listen,
      problem: "has no such port",
      fix: "Give a port up to 65535.",
    });
  }
  return { host, port };
}

function readTls(
  certFile: string | undefined,
  keyFile: string | undefined,
  problems: Problem[],
): { cert: string; key: string } | undefined {
  const cert = certFile === undefined ? undefined : readFile("tlsCert", certFile, problems);
  const key = keyFile === undefined ? undefined : readFile("tlsKey", keyFile, problems);
  if (certFile === undefined && keyFile !== undefined) {
    problems.push({ field: "tlsCert", problem: "is missing", fix: "Name the certificate of tlsKey." });
  }
  if (keyFile === undefined && certFile !== undefined) {
    problems.push({ field: "tlsKey", problem: "is missing", fix: "Name the key of tlsCert." });
  }
  if (cert === undefined || key === undefined) return undefined;
  const certificate = attempt(() => new X509Certificate(cert));
  const privateKey = attempt(() => createPrivateKey(key));
  const wrong = (field: string, value: string | undefined, problem: string, fix: string) =>
    problems.push({ field, ...(value === undefined ? {} : { value }), problem, fix });
  if (certificate === undefined)
    wrong("tlsCert", certFile, "is no certificate", "Give a PEM file, the server's certificate first.");
  if (privateKey === undefined)
    wrong("tlsKey", keyFile, "is no private key", "Give a PEM file without a passphrase.");
  if (certificate === undefined || privateKey === undefined) return undefined;
  if (!certificate.checkPrivateKey(privateKey)) {
    const fix = "Give the key with which the certificate was requested.";
    wrong("tlsKey", keyFile, "is not the key of tlsCert", fix);
    return undefined;
  }
  const refusal = servingProblem(cert, key);
  if (refusal !== undefined)
    wrong(
      "tlsCert",
      certFile,
      `cannot be served (${refusal})`,
      "Give the whole chain, with keys that TLS takes.",
    );
  return { cert, key };
}

/** As OpenSSL says it: a chain of which a part is missing, as while it is being written, or a key that is too short. */
function servingProblem(cert: string, key: string): string | undefined {
  try {
    createSecureContext({ cert, key });
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

function checkFolder(folder: string, problems: Problem[]): void {
  try {
    readdirSync(folder);
  } catch (error) {
    const problem = `cannot be read (${(error as NodeJS.ErrnoException).code})`;
    const fix = "Make the folder, and save AWS's published certificates in it as REGION.pem.";
    problems.push({ field: "awsCertificates", value: folder, problem, fix });
  }
}

function readFile(field: string, file: string, problems: Problem[]): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const problem = `cannot be read (${(error as NodeJS.ErrnoException).code})`;
    problems.push({ field, value: file, problem, fix: "Check the path and its permissions." });
    return undefined;
  }
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
