import { setTimeout as sleep } from "node:timers/promises";
import type { DeviceView } from "../controller/core/views.ts";
import { table } from "../protocol/node/table.ts";
import { instanceEnd } from "../protocol/tunnel.ts";
import type { LabDevice } from "./device.ts";
import type { Lab } from "./lab.ts";
import type { Lack } from "./readiness.ts";
import { closedPort, webName } from "./services.ts";
import { Asker } from "./vpc/asker.ts";
import type { Question, Told, WebAnswer } from "./vpc/questions.ts";

/** What became of one device's requests: to the application by name over each family, and to the port nobody may use. */
export interface Proof {
  readonly device: string;
  /** What it leases, as the controller says. */
  readonly leased: { readonly ipv4: string | null; readonly ipv6: string | null };
  readonly seen: { readonly ipv4: Told; readonly ipv6: Told };
  readonly closed: { readonly ipv4: Told; readonly ipv6: Told };
}

/** How many devices try at once: each is a process. */
const atOnce = 16;
const againAfterMs = 200;
/**
 * How long an answer may take at the first try, twice that at the next, and so on: who asks for a name before the tunnel
 * is there waits five seconds for nothing (resolv.conf(5), timeout), and a busy machine takes its time.
 */
const withinMs = { first: 800, max: 5_000 } as const;

/** Lets every device that has a host try, again and again until all is as it should be or the time is over. */
export async function prove(lab: Lab, byMs: number, signal: AbortSignal): Promise<Proof[]> {
  const devices = [...lab.devices];
  const proofs: Proof[] = [];
  const proveNext = async () => {
    for (let device = devices.shift(); device !== undefined; device = devices.shift()) {
      const proof = await proveOne(lab, device, byMs, signal);
      if (proof !== undefined) proofs.push(proof);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, proveNext));
  return proofs.sort((a, b) => a.device.localeCompare(b.device));
}

async function proveOne(
  lab: Lab,
  { plan, site }: LabDevice,
  byMs: number,
  signal: AbortSignal,
): Promise<Proof | undefined> {
  if (site.host === undefined) return undefined;
  await using asker = new Asker(site.host);
  for (let waitMs: number = withinMs.first; ; waitMs = Math.min(withinMs.max, 2 * waitMs)) {
    const session = (await lab.listDevices()).find(({ name }) => name === plan.name)?.session;
    const proof = await tryOut(plan.name, session, asker, waitMs);
    if (shortcomings(proof).length === 0 || signal.aborted || performance.now() > byMs) return proof;
    await sleep(againAfterMs, undefined, { signal }).catch(() => undefined);
  }
}

async function tryOut(
  device: string,
  session: DeviceView["session"] | undefined,
  asker: Asker,
  waitMs: number,
): Promise<Proof> {
  const [ipv4, ipv6, closed4, closed6] = (await Promise.all(
    [web(4, waitMs), web(6, waitMs), web(4, waitMs, closedPort), web(6, waitMs, closedPort)].map((question) =>
      asker.ask(question),
    ),
  )) as [Told, Told, Told, Told];
  return {
    device,
    leased: { ipv4: session?.ipv4 ?? null, ipv6: session?.ipv6 ?? null },
    seen: { ipv4, ipv6 },
    closed: { ipv4: closed4, ipv6: closed6 },
  };
}

/** IPv4 with the name servers that the device has given its host, IPv6 at the instance's IPv6 resolver. */
export function web(family: 4 | 6, withinMs: number, port = 80): Question {
  const url = `http://${webName}:${port}/`;
  return { kind: "http", url, family, withinMs, ...(family === 6 ? { dns: instanceEnd.ipv6 } : {}) };
}

/** In what a proof falls short; empty when it is one. Pure. */
export function shortcomings({ device, leased, seen, closed }: Proof): string[] {
  const families = ["ipv4", "ipv6"] as const;
  return families.flatMap((family) => {
    const { answer } = seen[family];
    const address = seenAddress(seen[family]);
    const name = family === "ipv4" ? "IPv4" : "IPv6";
    return [
      ...(answer.ok ? [] : [`${device} gets no answer of ${webName} over ${name}: ${answer.why}`]),
      ...(!answer.ok || address === leased[family]
        ? []
        : [`${webName} saw ${device} as ${address}, which leases ${leased[family] ?? `no ${name} address`}`]),
      ...(closed[family].answer.ok
        ? [`${device} reaches port ${closedPort} of ${webName} over ${name}, which no service allows`]
        : []),
    ];
  });
}

export function lacksOf(proofs: readonly Proof[]): Lack[] {
  return proofs.flatMap((proof) => shortcomings(proof).map((text) => ({ process: proof.device, text })));
}

/** The address that the application saw; undefined when it did not answer. */
export function seenAddress({ answer }: Told): string | undefined {
  return answer.ok ? (JSON.parse(answer.text) as WebAnswer).address : undefined;
}

export function proofTable(proofs: readonly Proof[], width: number | undefined): string {
  return table(
    [
      { title: "Device" },
      { title: "IPv4" },
      { title: "ms", align: "right" },
      { title: "IPv6" },
      { title: "ms", align: "right" },
      { title: `:${closedPort}` },
    ],
    proofs.map(({ device, seen, closed }) => [
      device,
      ...[seen.ipv4, seen.ipv6].flatMap((told) => [
        seenAddress(told) ?? "no answer",
        told.answer.ok ? told.tookMs.toFixed(0) : "-",
      ]),
      closed.ipv4.answer.ok || closed.ipv6.answer.ok ? "open" : "closed",
    ]),
    width,
  );
}
