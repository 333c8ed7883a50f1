import { existsSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Argv } from "yargs";
import { Failure } from "../protocol/failures.ts";
import { mayConfigureNetwork } from "./adapters/permission.ts";
import type { NamesWay } from "./adapters/tunnel-names.ts";
import type { TunnelChoice } from "./carrier.ts";

export const stateDirOption = {
  type: "string",
  default: join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "connector-device"),
  describe: "where keys and state are kept",
} as const;

export function runOptions(command: Argv) {
  return command
    .option("controller", { type: "string", demandOption: true, describe: "URL of the controller" })
    .option("ca-file", { type: "string", describe: "PEM file of the only CAs to trust" })
    .option("state-dir", stateDirOption)
    .option("code-file", { type: "string", describe: "file with the join code; removed after joining" })
    .option("name", { type: "string", default: hostname(), describe: "name in the administrator's list" })
    .option("tunnel", {
      choices: ["auto", "on", "off"] as const,
      default: "auto" as const,
      describe: "carry traffic; auto: where this process may configure the network (CAP_NET_ADMIN)",
    })
    .option("interface", {
      type: "string",
      default: "connector-dev",
      describe: "name of the tunnel's interface, unique on the host",
    })
    .option("names", {
      type: "string",
      default: "auto",
      describe:
        "how the services' names are asked for: resolvectl, file:PATH, none; auto: resolvectl or none",
    })
    .option("verbose", { alias: "v", type: "boolean", default: false, describe: "log more" })
    .example("$0 run --controller https://controller.example --code-file ./code", "")
    .example("$0 run --controller https://controller.example --tunnel off", "hold the place, carry nothing")
    .example("$0 run --controller https://controller.example --names file:/etc/resolv.conf", "")
    .epilogue(
      "SIGTERM and SIGKILL leave the attachment and the tunnel, which goes on carrying traffic; the next start takes it " +
        "over. `logout` takes the tunnel down. SIGHUP tries again what was refused.",
    )
    .check((o) => mayCarryCode(o.controller) || notTaken(o.controller))
    .check((o) => isInterfaceName(o.interface) || noInterface(o.interface))
    .check((o) => namesOf(o.names) !== undefined || noNames(o.names));
}

/** What the options and this process's rights make of the tunnel. Fails with `tunnel.not-permitted` where it must be on. */
export function chooseTunnel(
  options: { readonly tunnel: "auto" | "on" | "off"; readonly interface: string; readonly names: string },
  isPermitted = mayConfigureNetwork(),
): TunnelChoice {
  const on = {
    is: "on",
    interface: options.interface,
    names: namesOf(options.names) ?? { kind: "none" },
  } as const;
  switch (options.tunnel) {
    case "off":
      return { is: "off", why: null };
    case "auto":
      return isPermitted ? on : { is: "off", why: "tunnel.not-permitted" };
    case "on":
      if (!isPermitted) throw new Failure("tunnel.not-permitted");
      return on;
  }
}

/** Where systemd-resolved runs it decides who is asked for which name; where it does not, nothing is as safe to change. */
function namesOf(text: string): NamesWay | undefined {
  if (text === "auto")
    return { kind: existsSync("/run/systemd/resolve/io.systemd.Resolve") ? "resolvectl" : "none" };
  if (text === "none" || text === "resolvectl") return { kind: text };
  const path = /^file:(.+)$/.exec(text)?.[1];
  return path !== undefined && isAbsolute(path) ? { kind: "file", path } : undefined;
}

/** As the kernel takes them (dev_valid_name), without what a command line or a path would have to quote. */
function isInterfaceName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name);
}

function noInterface(name: string): string {
  return `--interface takes at most 15 letters, digits, '-', '_' and '.', not ${name}`;
}

function noNames(text: string): string {
  return `--names takes auto, resolvectl, none or file:/ABSOLUTE/PATH, not ${text}`;
}

/** A join code is as good as a password: it goes over TLS, or does not leave this host. */
function mayCarryCode(controller: string): boolean {
  const url = URL.parse(controller);
  if (url === null || url.username !== "" || url.password !== "") return false;
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

function notTaken(controller: string): string {
  return `--controller takes https://HOST[:PORT], or http:// on loopback, not ${controller}`;
}
