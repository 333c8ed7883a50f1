import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Process } from "../process.ts";
import { waitFor } from "../wait.ts";
import type { Addresses } from "./addresses.ts";
import type { Host } from "./host.ts";
import { programFile } from "./sockets.ts";

/** Something private that users want to reach, on a host of its own. */
export interface Application {
  readonly host: Host;
  readonly process: Process;
}

/** What an application does, and on which ports. */
export type ApplicationKind =
  | { readonly kind: "web"; readonly ports: readonly number[] }
  /** TCP and UDP. */
  | { readonly kind: "echo"; readonly port: number }
  /** Opens connections towards users: GET /call?port=N. */
  | { readonly kind: "caller"; readonly port: number };

export async function startApplication(host: Host, what: ApplicationKind): Promise<Application> {
  const args = [programFile(what.kind), ...argsOf(what, host.name)];
  const process = new Process({ name: host.name, args, command: host.command(), logFile: logFile(host) });
  process.start();
  const listening = what.kind === "web" ? what.ports.length : what.kind === "echo" ? 2 : 1;
  await said(process, /^listening/gm, listening);
  return { host, process };
}

export interface DnsOptions {
  /** The private zone; of other names it knows nothing. */
  readonly zone: string;
  /** By whole name. */
  readonly records: Readonly<Record<string, Addresses>>;
  /** Names of which every name below is the same: `apps.corp.internal` for `*.apps.corp.internal`. */
  readonly wildcards?: Readonly<Record<string, Addresses>>;
  /** How long its answers may be kept. */
  readonly ttlSeconds?: number;
}

/** A DNS server for a private zone, dnsmasq. Its log has every query and who asked. */
export class Dns implements Application {
  readonly host: Host;
  readonly process: Process;
  readonly zone: string;
  readonly #records: Map<string, Addresses>;
  readonly #recordsFile: string;

  private constructor(host: Host, options: DnsOptions) {
    this.host = host;
    this.zone = options.zone;
    this.#records = new Map(Object.entries(options.records));
    this.#recordsFile = join(host.folder, "records");
    const answers = Object.entries(options.wildcards ?? {}).flatMap(([name, { ipv4, ipv6 }]) => [
      `--address=/${name}/${ipv4}`,
      `--address=/${name}/${ipv6}`,
    ]);
    const alone = [
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--no-resolv",
      "--no-hosts",
      "--user=root",
    ];
    const shown = ["--log-facility=-", "--log-queries"];
    this.process = new Process({
      name: host.name,
      command: host.command(["dnsmasq"]),
      args: [
        ...alone,
        ...shown,
        `--local=/${options.zone}/`,
        `--local-ttl=${options.ttlSeconds ?? 30}`,
        `--addn-hosts=${this.#recordsFile}`,
        ...answers,
      ],
      logFile: logFile(host),
    });
  }

  static async start(host: Host, options: DnsOptions): Promise<Dns> {
    const dns = new Dns(host, options);
    dns.#write();
    dns.process.start();
    // The last that it does before it answers; said later, it would be taken for the reading of what is published next.
    await said(dns.process, readRecords, 1);
    return dns;
  }

  /** Adds a name or gives it other addresses; none takes it away. */
  async publish(name: string, addresses: Addresses | undefined): Promise<void> {
    if (addresses === undefined) this.#records.delete(name);
    else this.#records.set(name, addresses);
    this.#write();
    const reads = this.#reads();
    this.process.signal("SIGHUP");
    await waitFor(`${name} to be published`, 15_000, () => this.#reads() > reads);
  }

  /** How often dnsmasq has said that it read the file of records. */
  #reads(): number {
    return this.process.log().match(readRecords)?.length ?? 0;
  }

  #write(): void {
    const lines = [...this.#records].map(([name, { ipv4, ipv6 }]) => `${ipv4} ${name}\n${ipv6} ${name}\n`);
    writeFileSync(this.#recordsFile, lines.join(""));
  }
}

const readRecords = /read .*records/g;

function argsOf(what: ApplicationKind, name: string): string[] {
  switch (what.kind) {
    case "web":
      return [name, ...what.ports.map(String)];
    case "echo":
    case "caller":
      return [String(what.port)];
  }
}

function logFile(host: Host): string {
  return join(host.folder, "application.log");
}

/** Waits until a process has said something so many times; one that does not is not left to try for ever. */
async function said(process: Process, what: RegExp, times: number): Promise<void> {
  try {
    await waitFor(`${process.name} to say ${what.source}`, 15_000, () => {
      if (process.starts > 1) throw new Error(`${process.name} ended: ${process.tail(3).join("; ")}`);
      return (process.log().match(what)?.length ?? 0) >= times;
    });
  } catch (error) {
    await process.stop();
    throw error;
  }
}
