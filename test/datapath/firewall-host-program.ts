/**
 * A host's applications, for a test that runs it inside a namespace. Each line on standard input is a `Request`, and is
 * answered by one line on standard output. Echo servers answer with the address that asked.
 */
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "../../agent/adapters/dns-question.ts";
import { NameKeeper, type NamesToKeep } from "../../agent/adapters/dnsmasq-names.ts";
import { UpstreamWatch } from "../../agent/adapters/dnsmasq-upstreams.ts";
import { livenessName } from "../../agent/core/resolver.ts";
import { createLogger } from "../../protocol/node/log.ts";

export type Request =
  | {
      readonly do: "serve";
      readonly protocol: "tcp" | "udp";
      readonly address: string;
      readonly port: number;
    }
  | {
      readonly do: "ask";
      readonly protocol: "tcp" | "udp";
      readonly from: string;
      readonly to: string;
      readonly port: number;
      readonly withinMs: number;
    }
  /** Opens a connection that stays, and `say`s something over it later. */
  | { readonly do: "open"; readonly from: string; readonly to: string; readonly port: number }
  | { readonly do: "say"; readonly withinMs: number }
  /** Serves connections that get a kilobyte every 5 ms, whatever they say. */
  | { readonly do: "pour"; readonly address: string; readonly port: number }
  /** Opens such a connection, answers with its port; and tells how many bytes came over it so far. */
  | { readonly do: "drink"; readonly from: string; readonly to: string; readonly port: number }
  | { readonly do: "drunk" }
  /** Asks a DNS server as a stub resolver does, with repetitions; answers with addresses and life times as JSON. */
  | {
      readonly do: "resolve";
      readonly from: string;
      readonly server: string;
      readonly name: string;
      readonly type: "A" | "AAAA";
    }
  /** Asks a DNS server again and again with one and the same query, as some stub resolvers do; the address, or silence. */
  | { readonly do: "repeat"; readonly from: string; readonly server: string; readonly name: string }
  /** Asks the resolver of this host whether it answers, as the agent does. */
  | { readonly do: "listens"; readonly address: string }
  /** Keeps names known to the resolver of this host, as the agent does, until told otherwise. */
  | {
      readonly do: "keep";
      readonly names: readonly string[];
      readonly pid: number;
      readonly address: string;
    }
  /** Watches DNS servers from now on, and answers with those that are silent when they next change. */
  | { readonly do: "watch"; readonly servers: readonly string[] }
  /** Asks for one name every 2 ms, each time once; answers with how many were asked and answered as JSON. */
  | { readonly do: "pelt"; readonly from: string; readonly server: string; readonly forMs: number };

let kept: Socket | undefined;

createInterface(process.stdin).on("line", async (line) => {
  const { id, ...request } = JSON.parse(line) as Request & { id: number };
  const answer = await handle(request as Request).catch((error: unknown) => `failed: ${String(error)}`);
  process.stdout.write(`${JSON.stringify({ id, answer })}\n`);
});

function handle(request: Request): Promise<string> {
  switch (request.do) {
    case "serve":
      return request.protocol === "tcp" ? serveTcp(request) : serveUdp(request);
    case "ask":
      return request.protocol === "tcp" ? askTcp(request) : askUdp(request);
    case "open":
      return open(request);
    case "say":
      return say(request.withinMs);
    case "pour":
      return pour(request);
    case "drink":
      return drink(request);
    case "drunk":
      return Promise.resolve(String(drunk));
    case "resolve":
      return resolve(request);
    case "repeat":
      return repeat(request);
    case "listens":
      return ask({
        server: request.address,
        from: request.address,
        name: livenessName,
        type: "NS",
        withinMs: 900,
      });
    case "keep":
      return Promise.resolve(keep(request));
    case "watch":
      return nextSilent(request.servers);
    case "pelt":
      return pelt(request);
  }
}

function serveTcp({ address, port }: { address: string; port: number }): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", () => socket.write(socket.remoteAddress ?? ""));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => resolve("served"));
  });
}

function serveUdp({ address, port }: { address: string; port: number }): Promise<string> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (_message, from) => socket.send(from.address, from.port, from.address));
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, () => resolve("served"));
  });
}

function askTcp(request: Request & { do: "ask" }): Promise<string> {
  const socket = connect({ host: request.to, port: request.port, localAddress: request.from });
  socket.on("connect", () => socket.write("who am I"));
  return firstData(socket, request.withinMs).finally(() => socket.destroy());
}

function askUdp({ from, to, port, withinMs }: Request & { do: "ask" }): Promise<string> {
  const socket = createSocket(to.includes(":") ? "udp6" : "udp4");
  return new Promise<string>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("message", (message) => resolve(message.toString()));
    socket.bind(0, from, () => {
      socket.send("who am I", port, to, () => setTimeout(() => resolve("silence"), withinMs));
    });
  }).finally(() => socket.close());
}

function open({ from, to, port }: Request & { do: "open" }): Promise<string> {
  kept = connect({ host: to, port, localAddress: from });
  kept.on("connect", () => kept?.write("who am I"));
  return firstData(kept, 2_000);
}

function say(withinMs: number): Promise<string> {
  kept?.write("still there?");
  return kept === undefined ? Promise.resolve("nothing is open") : firstData(kept, withinMs);
}

function pour({ address, port }: { address: string; port: number }): Promise<string> {
  const server = createServer((socket) => {
    const timer = setInterval(() => socket.write(Buffer.alloc(1_000)), 5);
    socket.on("error", () => undefined).on("close", () => clearInterval(timer));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => resolve("served"));
  });
}

let drunk = 0;
let drinking: Socket | undefined;

function drink({ from, to, port }: Request & { do: "drink" }): Promise<string> {
  drunk = 0;
  drinking?.destroy();
  const socket = connect({ host: to, port, localAddress: from });
  drinking = socket;
  socket.on("data", (data) => {
    drunk += data.length;
  });
  return new Promise((resolve) => {
    setTimeout(() => resolve("silence"), 2_000);
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "failed"));
    socket.once("connect", () => resolve(String(socket.localPort)));
  });
}

function firstData(socket: Socket, withinMs: number): Promise<string> {
  return new Promise((resolve) => {
    setTimeout(() => resolve("silence"), withinMs);
    socket.once("data", (data) => resolve(data.toString()));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "failed"));
  });
}

async function resolve({ from, server, name, type }: Request & { do: "resolve" }): Promise<string> {
  const resolver = new Resolver({ timeout: 500, tries: 3 });
  resolver.setServers([server]);
  if (from.includes(":")) resolver.setLocalAddress("0.0.0.0", from);
  else resolver.setLocalAddress(from);
  try {
    const answers = await (type === "A"
      ? resolver.resolve4(name, { ttl: true })
      : resolver.resolve6(name, { ttl: true }));
    return JSON.stringify(answers);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "failed";
  }
}

async function repeat({ from, server, name }: Request & { do: "repeat" }): Promise<string> {
  const socket = createSocket("udp4");
  await new Promise<void>((bound) => socket.bind(0, from, bound));
  let answer: string | undefined;
  // The last four bytes of an answer with one address.
  socket.on("message", (message) => {
    answer = [...message.subarray(-4)].join(".");
  });
  for (let tries = 0; answer === undefined && tries < 20; tries++) {
    socket.send(question(77, name), 53, server);
    await sleep(300);
  }
  socket.close();
  return answer ?? "silence";
}

let watch: UpstreamWatch | undefined;
let onSilent: (silent: string) => void = () => undefined;

function nextSilent(servers: readonly string[]): Promise<string> {
  const log = createLogger({ name: "watch", level: "silent" });
  watch ??= new UpstreamWatch({ log, onChange: () => onSilent([...(watch?.silent ?? [])].join(" ")) });
  watch.watch(servers);
  return new Promise((resolve) => {
    onSilent = resolve;
  });
}

let toKeep: NamesToKeep = { names: new Set(), pid: undefined, address: undefined };
new NameKeeper(() => toKeep);

function keep({ names, pid, address }: Request & { do: "keep" }): string {
  toKeep = { names: new Set(names), pid, address };
  return "kept";
}

async function pelt({ from, server, forMs }: Request & { do: "pelt" }): Promise<string> {
  const socket = createSocket("udp4");
  await new Promise<void>((bound) => socket.bind(0, from, bound));
  const answered = new Set<number>();
  socket.on("message", (message) => answered.add(message.readUInt16BE(0)));
  socket.on("error", () => undefined);
  let asked = 0;
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    socket.send(question(++asked, "steady.internal"), 53, server);
    await sleep(2);
  }
  // Answers that a busy machine delays are not lost.
  const lateMs = performance.now() + 3_000;
  while (answered.size < asked && performance.now() < lateMs) await sleep(10);
  socket.close();
  return JSON.stringify({ asked, answered: answered.size });
}

/** RFC 1035, 4.1: a question for an IPv4 address, recursion desired. */
function question(id: number, name: string): Buffer {
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const labels = name.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}
