import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failed, type Result, success } from "../../failures.ts";
import { isNoChange, type WireguardChange, type WireguardReading } from "../../wireguard.ts";
import type { Run } from "../command.ts";
import { storageFailure } from "../files.ts";
import { portTaken, type WireguardControl } from "./port.ts";
import { configurationText, parseDump, removeCommands } from "./wg-text.ts";

/**
 * WireGuard by the tool `wg`, which speaks netlink with the kernel's and the control socket with any other. Three
 * milliseconds a call, so a change is one call, and one more where peers are removed.
 */
export class WgControl implements WireguardControl {
  readonly #name: string;
  readonly #run: Run;

  constructor(name: string, run: Run) {
    this.#name = name;
    this.#run = run;
  }

  async apply(change: WireguardChange): Promise<Result<void>> {
    if (isNoChange(change)) return success(undefined);
    const set = await this.#set(change);
    if (!set.ok) return set;
    for (const command of removeCommands(this.#name, change.remove)) {
      const removed = await this.#run(command);
      if (!removed.ok) return removed;
    }
    return success(undefined);
  }

  async read(): Promise<Result<WireguardReading>> {
    const command = ["wg", "show", this.#name, "dump"];
    const dump = await this.#run(command);
    if (!dump.ok) return dump;
    try {
      return success(parseDump(dump.value));
    } catch (error) {
      // Not the text: its first field is the private key.
      return failed("datapath.failing", { command: command.join(" "), error: (error as Error).message });
    }
  }

  async #set(change: WireguardChange): Promise<Result<void>> {
    const command = `wg addconf ${this.#name}`;
    let text: string;
    try {
      text = configurationText(change);
    } catch (error) {
      return failed("datapath.failing", { command, error: (error as Error).message }, error);
    }
    if (text === "") return success(undefined);
    let folder: string | undefined;
    try {
      folder = mkdtempSync(join(tmpdir(), "connector-wg-"));
      const file = join(folder, "peers.conf");
      writeFileSync(file, text, { mode: 0o600, flag: "wx" });
      const set = await this.#run(["wg", "addconf", this.#name, file]);
      return set.ok ? success(undefined) : portTaken(set, command, change);
    } catch (error) {
      return { ok: false, failure: storageFailure(error, folder ?? tmpdir()) };
    } finally {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    }
  }
}
