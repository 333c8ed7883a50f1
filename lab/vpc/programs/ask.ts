// ask.ts QUESTIONS: tries everything in a JSON array of questions at once and writes the answers, in the same order.
// ask.ts: tries what its parent sends, as it comes, and sends back each answer with how long it took.
import { createSocket } from "node:dgram";
import { promises as dns, type LookupAddress } from "node:dns";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect, createServer, isIPv6, type LookupFunction } from "node:net";
import { text as textOf } from "node:stream/consumers";
import type { Answer, EchoQuestion, HttpQuestion, Numbered, Question, Told } from "../questions.ts";

const given = process.argv[2];
if (given === undefined) {
  process.on("message", ({ number, what }: Numbered<Question>) => void tell(number, what));
  process.once("disconnect", () => process.exit());
} else {
  const answers = await Promise.all((JSON.parse(given) as Question[]).map(answerTo));
  process.stdout.write(JSON.stringify(answers), () => process.exit());
}

async function tell(number: number, question: Question): Promise<void> {
  const startedAtMs = performance.now();
  const answer = await answerTo(question);
  const told: Told = { answer, tookMs: performance.now() - startedAtMs };
  process.send?.({ number, what: told } satisfies Numbered<Told>);
}

async function answerTo(question: Question): Promise<Answer> {
  const signal = AbortSignal.timeout(question.withinMs ?? 2_000);
  try {
    return { ok: true, text: await Promise.race([tryOut(question, signal), aborted(signal)]) };
  } catch (error) {
    return { ok: false, why: signal.aborted ? "ETIMEDOUT" : whyOf(error) };
  }
}

async function tryOut(question: Question, signal: AbortSignal): Promise<string> {
  switch (question.kind) {
    case "http":
      return fetchText(question, signal);
    case "tcp":
      return echoTcp(question, signal);
    case "udp":
      return echoUdp(question, signal);
    case "name":
      return (await addressesOf(question.name, question.family, question.dns)).join(" ");
    case "callback":
      return beCalled(question.url, question.port, signal);
  }
}

async function fetchText(question: HttpQuestion, signal: AbortSignal): Promise<string> {
  const { url, family = 4, dns: server, from } = question;
  const lookup = server === undefined ? {} : { lookup: lookupAt(server, family) };
  const local = from === undefined ? {} : { localAddress: from };
  const request = get(url, { agent: false, family, signal, ...lookup, ...local });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const body = await textOf(response);
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}`);
  return body.trim();
}

async function echoTcp({ address, port, text }: EchoQuestion, signal: AbortSignal): Promise<string> {
  const socket = connect({ host: address, port, signal });
  socket.end(text);
  return textOf(socket);
}

async function echoUdp({ address, port, text }: EchoQuestion, signal: AbortSignal): Promise<string> {
  const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", signal });
  // Connected, so that a port unreachable is heard of.
  socket.connect(port, address);
  await once(socket, "connect");
  socket.send(text);
  const [message] = await once(socket, "message", { signal });
  socket.close();
  return String(message);
}

async function beCalled(url: string, port: number, signal: AbortSignal): Promise<string> {
  const server = createServer((socket) => socket.end()).listen({ host: "::", port });
  await once(server, "listening");
  const said = await fetchText({ kind: "http", url: `${url}?port=${port}` }, signal);
  server.close();
  return said;
}

function lookupAt(server: string, family: 4 | 6): LookupFunction {
  return (name, options, callback) => {
    addressesOf(name, family, server).then(
      (addresses) => {
        const found: LookupAddress[] = addresses.map((address) => ({ address, family }));
        if (options.all) callback(null, found);
        else callback(null, found[0]?.address ?? "", family);
      },
      (error) => callback(error, ""),
    );
  };
}

async function addressesOf(name: string, family: 4 | 6, server: string): Promise<string[]> {
  const resolver = new dns.Resolver({ timeout: 1_000, tries: 2 });
  resolver.setServers([server]);
  return family === 4 ? resolver.resolve4(name) : resolver.resolve6(name);
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason));
  return promise;
}

function whyOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
