import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { insideOf, runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";

/** A DNS server of the private network: dnsmasq with records of its own. */
export class DnsServer implements Disposable {
  readonly #child: ChildProcess;
  readonly #host: string;
  readonly #address: string;

  /** `records` as dnsmasq's `host-record` has them: `app.internal,10.0.0.5,fd00::5`. */
  constructor(host: string, folder: string, address: string, records: readonly string[]) {
    const config = join(folder, `upstream-${address.replaceAll(":", "-")}.conf`);
    const lines = [
      ...["no-hosts", "no-resolv", "bind-interfaces", "keep-in-foreground", "pid-file", "user=root"],
      ...["local=/internal/", "local-ttl=86400", "log-facility=/dev/null", `listen-address=${address}`],
      ...records.map((record) => `host-record=${record}`),
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    const [file = "", ...args] = [...insideOf(host), "dnsmasq", "-C", config];
    this.#child = spawn(file, args, { stdio: "ignore" });
    this.#host = host;
    this.#address = address;
  }

  async ready(): Promise<this> {
    await until(`a DNS server at ${this.#address}`, async () =>
      (await runIn(this.#host, "ss", "-lnuH")).includes(`${this.#address}:53`),
    );
    return this;
  }

  /** Takes queries and answers none, or goes on. */
  fallSilent(): void {
    this.#child.kill("SIGSTOP");
  }

  speakAgain(): void {
    this.#child.kill("SIGCONT");
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
