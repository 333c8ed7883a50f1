import { lookup } from "node:dns/promises";
import { get as httpGet } from "node:http";
import { get as httpsGet } from "node:https";
import { isIP, type Socket, connect as tcpConnect } from "node:net";
import { performance } from "node:perf_hooks";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import { Failure } from "../../../protocol/failures.ts";
import { tlsFailureOf } from "../../../protocol/node/network.ts";
import { afterRunning } from "../../../protocol/node/running-time.ts";
import { fail, type Line, lineOf, ok, skip, warn } from "./line.ts";

/** Each step of the way to the controller has so long. */
const stepMs = 2_000;
/** A certificate that ends sooner is worth a warning: renewal should have happened. */
const certificateDaysMin = 14;
const dayMs = 86_400_000;

/** How far the way to the controller could be walked: each step is there when the one before it succeeded. */
export interface ControllerSeen {
  readonly url: string;
  readonly name: Step<{ readonly addresses: readonly string[] }>;
  readonly tcp?: Step<{ readonly ms: number }>;
  /** Absent for http. */
  readonly tls?: Step<{ readonly validToMs: number; readonly protocol: string }>;
  readonly http?: Step<Answer>;
}

export type Step<T> =
  | ({ readonly is: "done" } & T)
  | { readonly is: "failed"; readonly error: string; readonly code: string };

/** Resolves, connects, shakes hands and asks, one after the other, each within its time. */
export async function walkToController(url: string, ca: string | undefined): Promise<ControllerSeen> {
  const { hostname, port, protocol } = new URL(url);
  const secure = protocol === "https:";
  const host = hostname.replace(/^\[|\]$/g, "");
  const at = { host, port: Number(port || (secure ? 443 : 80)) };
  const name = await step(async () => ({ addresses: await addressesOf(host) }));
  if (name.is === "failed") return { url, name };
  const began = performance.now();
  const tcp = await step(async (signal) => {
    const socket = tcpConnect({ ...at, signal });
    await opened(socket, "connect");
    socket.destroy();
    return { ms: performance.now() - began };
  });
  if (tcp.is === "failed") return { url, name, tcp };
  const tls = secure ? await step((signal) => shakeHands(at, ca, signal)) : undefined;
  if (tls?.is === "failed") return { url, name, tcp, tls };
  const http = await step((signal) => ask(url, ca, signal));
  return { url, name, tcp, ...(tls === undefined ? {} : { tls }), http };
}

/** One line for each step; what could not be tried because of an earlier step says so. */
export function judgeController(seen: ControllerSeen, nowMs: number): Line[] {
  const { hostname, host, protocol } = new URL(seen.url);
  return [
    judgeName(hostname, seen.name),
    judgeTcp(host, seen.tcp),
    ...(protocol === "https:" ? [judgeTls(seen.tls, nowMs)] : []),
    judgeHttp(seen.http),
  ];
}

function judgeName(hostname: string, name: ControllerSeen["name"]): Line {
  if (name.is === "failed")
    return lineOf("controller name", new Failure("link.name", { name: hostname, error: name.code }));
  if (name.addresses[0] === hostname) return ok("controller name", `${hostname}, nothing to resolve`);
  return ok("controller name", `${hostname} is ${name.addresses.slice(0, 3).join(", ")}`);
}

function judgeTcp(host: string, tcp: ControllerSeen["tcp"]): Line {
  if (tcp === undefined) return skip("controller TCP", "needs the name");
  if (tcp.is === "failed") {
    return {
      ...lineOf("controller TCP", new Failure("link.unreachable", { address: host, error: tcp.code })),
      result: "FAIL",
    };
  }
  return ok("controller TCP", `${host} answers in ${Math.ceil(tcp.ms)} ms`);
}

function judgeTls(tls: ControllerSeen["tls"], nowMs: number): Line {
  if (tls === undefined) return skip("controller TLS", "needs TCP");
  if (tls.is === "failed") {
    const code = tlsFailureOf(tls.code);
    const clock =
      code === "link.tls" ? {} : { "this host's clock": new Date(nowMs).toISOString().slice(0, 16) };
    return lineOf("controller TLS", new Failure(code, { error: tls.code, ...clock }));
  }
  const leftMs = tls.validToMs - nowMs;
  const text = `${tls.protocol}, certificate trusted, valid for ${Math.floor(leftMs / dayMs)} days`;
  if (leftMs > certificateDaysMin * dayMs) return ok("controller TLS", text);
  return warn(
    "controller TLS",
    text,
    "Renew the controller's certificate; agents cannot connect once it ends.",
  );
}

function judgeHttp(http: ControllerSeen["http"]): Line {
  if (http === undefined) return skip("controller HTTP", "needs the steps before it");
  if (http.is === "failed") {
    return fail(
      "controller HTTP",
      `The controller does not answer HTTP (${http.code})`,
      "Check that `controller` names the controller's own port, and the proxies on the way.",
    );
  }
  if (http.status < 500) return ok("controller HTTP", "answers");
  return warn(
    "controller HTTP",
    `answers with status ${http.status}`,
    "Look at the controller's log, or at the proxy in front of it.",
  );
}

async function step<T>(take: (signal: AbortSignal) => Promise<T>): Promise<Step<T>> {
  const deadline = new AbortController();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const stop = afterRunning(stepMs, () => {
    deadline.abort();
    reject(new Error("no answer"));
  });
  try {
    return { is: "done", ...(await Promise.race([take(deadline.signal), late])) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return {
      is: "failed",
      error: message,
      code: deadline.signal.aborted ? `no answer in ${stepMs / 1000} s` : (code ?? message),
    };
  } finally {
    stop();
  }
}

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

async function shakeHands(at: { host: string; port: number }, ca: string | undefined, signal: AbortSignal) {
  const servername = isIP(at.host) === 0 ? { servername: at.host } : {};
  const socket = tlsConnect({ ...at, ...servername, ...(ca === undefined ? {} : { ca }) });
  signal.addEventListener("abort", () => socket.destroy());
  try {
    await opened(socket, "secureConnect");
    const { valid_to } = socket.getPeerCertificate();
    return { validToMs: Date.parse(valid_to), protocol: socket.getProtocol() ?? "TLS" };
  } finally {
    socket.destroy();
  }
}

function opened(socket: Socket | TLSSocket, event: "connect" | "secureConnect"): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once(event, () => resolve());
  socket.on("error", reject);
  return promise;
}

interface Answer {
  readonly status: number;
  readonly dateMs: number | undefined;
  readonly atMs: number;
}

function ask(url: string, ca: string | undefined, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const get = url.startsWith("https:") ? httpsGet : httpGet;
  get(url, { agent: false, signal, ...(ca === undefined ? {} : { ca }) }, (response) => {
    const dateMs = Date.parse(response.headers.date ?? "");
    resolve({
      status: response.statusCode ?? 0,
      dateMs: Number.isFinite(dateMs) ? dateMs : undefined,
      atMs: Date.now(),
    });
    response.destroy();
  }).on("error", reject);
  return promise;
}
