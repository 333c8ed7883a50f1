import { type Failure, failed, type Result, success } from "../../failures.ts";
import type { WireguardChange, WireguardReading } from "../../wireguard.ts";
import type { Run } from "../command.ts";
import type { WireguardControl, WireguardInterface } from "./port.ts";
import { WgControl } from "./wg-control.ts";

/** An interface of the kernel's module. It has no process: nothing to supervise, nothing to adopt but the link. */
export class KernelWireguard implements WireguardInterface {
  readonly name: string;
  readonly backend = "kernel";
  readonly #control: WireguardControl;
  readonly #run: Run;

  constructor(name: string, run: Run) {
    this.name = name;
    this.#run = run;
    this.#control = new WgControl(name, run);
  }

  async ensure(): Promise<Result<"made" | "adopted">> {
    const kind = await linkKind(this.name, this.#run);
    if (!kind.ok) return kind;
    switch (kind.value) {
      case "wireguard":
        return success("adopted");
      case "tun":
      case "other":
        return notWireguard(this.name);
      case "none": {
        const added = await addKernelLink(this.name, this.#run);
        return added.ok ? success("made") : added;
      }
    }
  }

  apply(change: WireguardChange): Promise<Result<void>> {
    return this.#control.apply(change);
  }

  read(): Promise<Result<WireguardReading>> {
    return this.#control.read();
  }

  remove(): Promise<Result<void>> {
    return deleteLink(this.name, this.#run);
  }

  [Symbol.dispose](): void {
    // It lives in the kernel.
  }
}

/** Somebody else's interface has our name. It is left alone. */
export function notWireguard(name: string): { ok: false; failure: Failure } {
  return failed("datapath.failing", { interface: name, error: "an interface of this name is not WireGuard" });
}

/** What an interface is: `wireguard` is the kernel's module, `tun` a process, `none` not there. */
export async function linkKind(
  name: string,
  run: Run,
): Promise<Result<"wireguard" | "tun" | "other" | "none">> {
  const answer = await run(["ip", "-json", "-details", "link", "show", "dev", name]);
  if (!answer.ok) return isMissing(answer.failure.facts.error) ? success("none") : answer;
  const kind = /"info_kind":"(\w+)"/.exec(answer.value)?.[1];
  return success(kind === "wireguard" || kind === "tun" ? kind : "other");
}

export async function addKernelLink(name: string, run: Run): Promise<Result<void>> {
  const added = await run(["ip", "link", "add", "dev", name, "type", "wireguard"]);
  return added.ok ? success(undefined) : added;
}

/** Removes an interface of either backend; wireguard-go ends when its interface does. */
export async function deleteLink(name: string, run: Run): Promise<Result<void>> {
  const deleted = await run(["ip", "link", "delete", "dev", name]);
  return deleted.ok || isMissing(deleted.failure.facts.error) ? success(undefined) : deleted;
}

/** `Unknown device type`, or `Operation not supported`: the kernel has no such module. */
export function hasNoModule(error: unknown): boolean {
  return /Unknown device type|not supported/i.test(String(error));
}

function isMissing(error: unknown): boolean {
  return /does not exist|Cannot find device/.test(String(error));
}
