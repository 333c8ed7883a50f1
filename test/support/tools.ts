import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

/** How a program of the host behaves. */
export type ToolState =
  | { readonly is: "real" }
  | { readonly is: "missing" }
  /** Ends with these words and exit code 1. */
  | { readonly is: "failing"; readonly says: string }
  | { readonly is: "hanging" }
  /** Works, a moment later. */
  | { readonly is: "slow" }
  /** Answers its version with this, and works otherwise. */
  | { readonly is: "old"; readonly version: string };

const programs = [
  "nft",
  "ip",
  "conntrack",
  "dnsmasq",
  "wireguard-go",
  "wg",
  "sh",
  "sleep",
  "ping",
  "setpriv",
] as const;
type Program = (typeof programs)[number];

/** A PATH of its own: the programs that the data path runs, each of which can be made to misbehave. */
export class Tools {
  readonly path: string;
  readonly #real = new Map(programs.map((name) => [name, whereIs(name)]));

  constructor(folder: string) {
    this.path = join(folder, "bin");
    mkdirSync(this.path, { recursive: true });
    for (const name of programs) this.set(name, { is: "real" });
  }

  set(name: Program, state: ToolState): void {
    const file = join(this.path, name);
    const real = this.#real.get(name) ?? "";
    switch (state.is) {
      case "real":
        if (existsSync(real)) writeScript(file, `exec ${real} "$@"`);
        return;
      case "missing":
        rmSync(file, { force: true });
        return;
      case "failing":
        writeScript(file, `echo '${state.says}' >&2; exit 1`);
        return;
      case "hanging":
        writeScript(file, "exec sleep 3600");
        return;
      case "slow":
        writeScript(file, `sleep 0.2; exec ${real} "$@"`);
        return;
      case "old":
        writeScript(file, `[ "$1" = --version ] && { echo '${state.version}'; exit; }; exec ${real} "$@"`);
    }
  }
}

/** Whole or not at all, and never anything but a script: a shell that was started with the one before may read it. */
function writeScript(file: string, body: string): void {
  writeFileSync(`${file}.new`, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  renameSync(`${file}.new`, file);
}

function whereIs(name: string): string {
  try {
    return execFileSync("sh", ["-c", `command -v ${basename(name)}`], { encoding: "utf8" }).trim();
  } catch {
    return "";
  }
}
