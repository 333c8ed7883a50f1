import { type Result, success } from "../../failures.ts";
import { commandRunner } from "../command.ts";
import type { Logger } from "../log.ts";
import { addKernelLink, deleteLink, hasNoModule, KernelWireguard, linkKind, notWireguard } from "./kernel.ts";
import type { WireguardBackend, WireguardInterface } from "./port.ts";
import { UserspaceWireguard } from "./userspace.ts";

export interface WireguardOptions {
  /** At most 15 letters. Unique on the host, also across network namespaces: control sockets share one folder. */
  readonly name: string;
  /** Stands before every command, as `ip netns exec NAME` does; empty for the namespace of this process. */
  readonly inside?: readonly string[];
  /** The kernel's where it has the module, else wireguard-go. */
  readonly backend?: WireguardBackend | "best";
  readonly log: Logger;
  /** The interface was lost and is there again, empty: everything must be set again. */
  readonly onMade?: () => void;
  /** How long a request to wireguard-go may take before it counts as hanging; ten seconds when not given. */
  readonly answerWithinMs?: number;
}

/**
 * The WireGuard interface of this name, with the backend that carries it already or that is best here. Makes nothing
 * that stays: that is `ensure`.
 */
export async function openWireguard(options: WireguardOptions): Promise<Result<WireguardInterface>> {
  const { name, inside = [], onMade = () => undefined } = options;
  const run = commandRunner(inside);
  const backend = await chooseBackend(options, run);
  if (!backend.ok) return backend;
  switch (backend.value) {
    case "kernel":
      return success(new KernelWireguard(name, run));
    case "userspace":
      return success(new UserspaceWireguard({ ...options, run, inside, onMade }));
  }
}

/** What carries traffic now stays, also where something faster could be had: changing it would cut everyone off. */
async function chooseBackend(
  { name, backend = "best" }: WireguardOptions,
  run: ReturnType<typeof commandRunner>,
): Promise<Result<WireguardBackend>> {
  const kind = await linkKind(name, run);
  if (!kind.ok) return kind;
  switch (kind.value) {
    case "wireguard":
      return success("kernel");
    case "tun":
      return success("userspace");
    case "other":
      return notWireguard(name);
    case "none":
      return backend === "best" ? bestBackend(name, run) : success(backend);
  }
}

/** By trial: whether a module is built in, loaded or loadable is only known by asking for an interface. */
export async function bestBackend(
  name: string,
  run: ReturnType<typeof commandRunner>,
): Promise<Result<WireguardBackend>> {
  const added = await addKernelLink(name, run);
  if (!added.ok) return hasNoModule(added.failure.facts.error) ? success("userspace") : added;
  const deleted = await deleteLink(name, run);
  return deleted.ok ? success("kernel") : deleted;
}
