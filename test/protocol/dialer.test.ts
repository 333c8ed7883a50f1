import { rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, LookupFunction, Server as NetServer, Socket } from "node:net";
import { createServer as createNetServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { createAuthority, loopbackNames, type Validity } from "../../lab/certificates.ts";
import { limits } from "../../protocol/limits.ts";
import type { LinkInput } from "../../protocol/link.ts";
import { CaFile } from "../../protocol/node/ca-file.ts";
import { Dialer } from "../../protocol/node/dialer.ts";
import { temporaryFolder } from "../support/folder.ts";
import { keepingLog } from "../support/quiet-log.ts";
import { until } from "../support/until.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function listen(server: NetServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A dialler with everything it posted. */
function dialler(controller: string, ca?: Pick<CaFile, "read">, lookup?: LookupFunction) {
  const inputs: LinkInput[] = [];
  const unknown: string[] = [];
  const dialer = new Dialer({
    controller,
    ca,
    lookup,
    post: (input) => inputs.push(input),
    onUnknown: (type) => unknown.push(type),
  });
  cleanups.push(() => dialer[Symbol.dispose]());
  const closed = () => until("closed", () => inputs.find((input) => input.kind === "closed"));
  return { dialer, inputs, unknown, closed };
}

/** A WebSocket server on /link that does with a connection what the test says. */
async function linkServer(onConnection: (socket: WebSocket) => void): Promise<string> {
  const http = createHttpServer();
  const server = new WebSocketServer({ server: http, path: "/link" });
  server.on("connection", onConnection);
  return `http://127.0.0.1:${await listen(http)}`;
}

describe("what is received", () => {
  test("messages, in order; unknown ones are only counted", async () => {
    const url = await linkServer((socket) => {
      socket.send('{"type":"pong","id":1}');
      socket.send('{"type":"news-of-version-9"}');
      socket.send('{"type":"pong","id":2}');
    });
    const { dialer, inputs, unknown } = dialler(url);
    dialer.dial(7);
    await until("two messages", () => inputs.length === 2);
    expect(inputs).toEqual(
      [1, 2].map((id) => ({ kind: "received", dialId: 7, message: { type: "pong", id } })),
    );
    expect(unknown).toEqual(["news-of-version-9"]);
  });

  test.each([
    ["HTML", "<html>", "protocol.not-json"],
    ["binary", Buffer.from('{"type":"pong","id":1}'), "protocol.not-json"],
    ["a wrong shape", '{"type":"pong"}', "protocol.malformed"],
    ["too deep", `{"type":"x","v":${"[".repeat(50)}`, "protocol.too-deep"],
  ])("%s is unreadable", async (_name, frame, why) => {
    const { dialer, inputs } = dialler(await linkServer((socket) => socket.send(frame)));
    dialer.dial(1);
    await until("an input", () => inputs.length > 0);
    expect(inputs).toEqual([{ kind: "unreadable", dialId: 1, why }]);
  });

  test("a frame over the limit ends the connection", async () => {
    const { dialer, closed } = dialler(
      await linkServer((socket) => socket.send("x".repeat(limits.frameBytesMax + 1))),
    );
    dialer.dial(1);
    expect(await closed()).toMatchObject({ why: "protocol.too-large" });
  });
});

describe("why a dial ends", () => {
  test("the close code of the controller", async () => {
    const { dialer, closed } = dialler(await linkServer((socket) => socket.close(4003)));
    dialer.dial(1);
    expect(await closed()).toEqual({ kind: "closed", dialId: 1, why: 4003 });
  });

  test("nobody listens", async () => {
    const { dialer, closed } = dialler("http://127.0.0.1:1");
    dialer.dial(1);
    expect(await closed()).toMatchObject({ why: "link.unreachable" });
  });

  // What a resolver says, and not how long this machine's takes for it where there is no network.
  test.each(["ENOTFOUND", "EAI_AGAIN"])("no such name: %s", async (code) => {
    const asked = (_name: string, _options: unknown, answer: (error: Error, addresses: []) => void) =>
      setImmediate(answer, Object.assign(new Error(`getaddrinfo ${code}`), { code }), []);
    const { dialer, closed } = dialler("http://controller.example:443", undefined, asked);
    dialer.dial(1);
    expect(await closed()).toMatchObject({ why: "link.name" });
  });

  test.each([
    [503, "7", "link.throttled", 7000],
    [429, "7", "link.throttled", 7000],
    [503, "soon", "link.throttled", undefined],
    [503, "999999", "link.throttled", 3_600_000],
    [404, undefined, "link.unreachable", undefined],
    [302, undefined, "link.unreachable", undefined],
  ])("HTTP %s with Retry-After %s", async (status, header, why, retryAfterMs) => {
    const http = createHttpServer();
    http.on("upgrade", (_request, socket) => {
      const retry = header === undefined ? "" : `Retry-After: ${header}\r\n`;
      socket.end(
        `HTTP/1.1 ${status} No\r\n${retry}Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n`,
      );
    });
    const { dialer, closed } = dialler(`http://127.0.0.1:${await listen(http)}`);
    dialer.dial(1);
    const expected = {
      kind: "closed",
      dialId: 1,
      why,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
    expect(await closed()).toEqual(expected);
  });

  test("a server that is no web server", async () => {
    const server = createNetServer((socket) => socket.end("220 mail.example.com ESMTP\r\n"));
    const { dialer, closed } = dialler(`http://127.0.0.1:${await listen(server)}`);
    dialer.dial(1);
    expect(await closed()).toMatchObject({ why: "link.unreachable" });
  });
});

describe("TLS", () => {
  async function tlsServer(validity?: Validity): Promise<{ url: string; ca: string }> {
    const authority = await createAuthority();
    const certificate = await authority.issueServer(loopbackNames, validity);
    const https = createHttpsServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem });
    const server = new WebSocketServer({ server: https, path: "/link" });
    server.on("connection", (socket) => socket.send('{"type":"pong","id":1}'));
    return { url: `https://127.0.0.1:${await listen(https)}`, ca: authority.certificatePem };
  }

  test("a pinned CA is trusted", async () => {
    const { url, ca } = await tlsServer();
    const { dialer, inputs } = dialler(url, { read: () => ca });
    dialer.dial(1);
    await until("a message", () => inputs.find((input) => input.kind === "received"));
  });

  test("a CA that is not pinned is not, and neither is an unknown one by the system's", async () => {
    const { url } = await tlsServer();
    const other = (await createAuthority()).certificatePem;
    for (const ca of [{ read: () => other }, undefined]) {
      const { dialer, closed } = dialler(url, ca);
      dialer.dial(1);
      expect(await closed()).toMatchObject({ why: "link.tls" });
    }
  });

  test("one that is replaced is trusted from the next dial on; a file that holds none for a moment changes nothing", async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, "ca.pem");
    const [before, after] = [await tlsServer(), await tlsServer()];
    writeFileSync(file, before.ca);
    const { log, lines } = keepingLog();
    const ca = new CaFile(file, log);
    const outcome = async (url: string) => {
      const { dialer, inputs, closed } = dialler(url, ca);
      dialer.dial(1);
      const [first] = await until("an outcome", () => (inputs.length > 0 ? inputs : undefined));
      dialer[Symbol.dispose]();
      await closed();
      return first?.kind === "closed" ? first.why : first?.kind;
    };
    expect([await outcome(before.url), await outcome(after.url)]).toEqual(["received", "link.tls"]);
    for (const spoil of [() => writeFileSync(file, after.ca.slice(0, 200)), () => rmSync(file)]) {
      spoil();
      expect(await outcome(before.url)).toBe("received");
    }
    expect(lines).toHaveLength(2);
    writeFileSync(file, after.ca);
    expect([await outcome(before.url), await outcome(after.url)]).toEqual(["link.tls", "received"]);
    expect(() => new CaFile(join(folder.path, "nowhere"), log)).toThrow("ENOENT");
  });

  // As a clock at 1970 sees every certificate, and one that is years ahead.
  test.each([
    ["early", [1, 90], "link.certificate-early"],
    ["expired", [-90, -1], "link.certificate-expired"],
  ] as const)(
    "a certificate that is %s by this clock has a code of its own",
    async (_when, [from, to], why) => {
      const inDays = (days: number) => new Date(Date.now() + days * 86_400_000);
      const { url, ca } = await tlsServer({ notBefore: inDays(from), notAfter: inDays(to) });
      const { dialer, closed } = dialler(url, { read: () => ca });
      dialer.dial(1);
      expect(await closed()).toMatchObject({ why });
    },
  );
});

test("dialling again leaves one connection, and the old one's end is told by its number", async () => {
  const sockets: WebSocket[] = [];
  const url = await linkServer((socket) => {
    sockets.push(socket);
    socket.send('{"type":"pong","id":1}');
  });
  const { dialer, inputs } = dialler(url);
  const isOpen = (dialId: number) =>
    inputs.some((input) => input.kind === "received" && input.dialId === dialId);
  dialer.dial(1);
  await until("connected", () => isOpen(1));
  dialer.dial(2);
  await until("connected again", () => isOpen(2));
  await until("the first is closed", () => sockets[0]?.readyState === 3);
  await until("its end is told", () => inputs.some(({ kind }) => kind === "closed"));
  expect(inputs.filter(({ kind }) => kind === "closed")).toMatchObject([{ kind: "closed", dialId: 1 }]);
  dialer.send(1, { type: "ping", id: 1 });
  dialer.send(2, { type: "ping", id: 2 });
  const frames: string[] = [];
  sockets[1]?.on("message", (data) => frames.push(data.toString()));
  await until("a frame", () => frames.length > 0);
  expect(frames).toEqual(['{"type":"ping","id":2}']);
});

test("a controller that does not read is hung up on, not queued for", async () => {
  const { dialer, inputs } = dialler(await linkServer((socket) => socket.pause()));
  dialer.dial(1);
  const wide = { type: "goodbye" as const, reason: "x".repeat(1024 * 1024) };
  let sent = 0;
  await until("hung up", () => {
    dialer.send(1, wide);
    sent += 1;
    return inputs.find((input) => input.kind === "closed");
  });
  expect(sent).toBeGreaterThan(limits.sendQueueBytesMax / wide.reason.length);
});
