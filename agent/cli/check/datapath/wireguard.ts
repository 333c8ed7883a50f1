import { closeSync, constants, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { dirname } from "node:path";
import type { Failure, Result } from "../../../../protocol/failures.ts";
import type { Run } from "../../../../protocol/node/command.ts";
import { linkKind } from "../../../../protocol/node/wireguard/kernel.ts";
import { bestBackend } from "../../../../protocol/node/wireguard/open.ts";
import type { WireguardBackend } from "../../../../protocol/node/wireguard/port.ts";
import { controlSocketOf } from "../../../../protocol/node/wireguard/uapi.ts";
import { instanceInterface } from "../../../../protocol/tunnel.ts";
import { fail, type Line, ok, warn } from "../line.ts";
import { versionOf } from "./host-command.ts";

export interface WireguardSeen {
  /** Who carries the tunnel, by what is there or by trial. */
  readonly backend:
    | { readonly is: "carries" | "tried"; readonly backend: WireguardBackend }
    /** Not for us to try; whether the kernel has the module is known by its files. */
    | { readonly is: "untried"; readonly hasModule: boolean }
    | { readonly is: "unusable"; readonly error: string };
  /** Versions. Any will do: what the agent asks of them they have always had. */
  readonly wg: Result<string>;
  readonly wireguardGo: Result<string>;
  readonly tunDevice: "usable" | "none" | "hidden";
  /** Where wireguard-go makes its control socket, for the agent's user. */
  readonly socketFolder: "usable" | "none" | "closed";
}

/** A trial makes an interface of a name of its own and removes it. `agentUid`: undefined before its first start. */
export async function lookAtWireguard(run: Run, agentUid: number | undefined): Promise<WireguardSeen> {
  const [backend, wg, wireguardGo] = await Promise.all([
    lookAtBackend(run),
    versionOf(run, ["wg", "--version"], /\bv([\d.]+)/),
    versionOf(run, ["wireguard-go", "--version"], /\bv([\d.]+)/),
  ]);
  const socketFolder = lookAtSocketFolder(agentUid);
  return { backend, wg, wireguardGo, tunDevice: lookAtTunDevice(), socketFolder };
}

export function judgeWireguard(seen: WireguardSeen): Line {
  switch (carrierOf(seen.backend)) {
    case "kernel":
      return judgeModule(seen);
    case "userspace":
      return judgeProgram(seen);
    case undefined: {
      const error = seen.backend.is === "unusable" ? seen.backend.error : "unknown";
      return fail(name, `${instanceInterface}: ${error}`, "Remove what stands in the way of the interface.");
    }
  }
}

const name = "WireGuard";
/** Not part of a network namespace, nor of the agent's own runtime folder: wireguard-go knows no other place. */
const socketFolderPath = dirname(controlSocketOf(instanceInterface));

function judgeModule({ backend, wg }: WireguardSeen): Line {
  const module = `the kernel's module${backend.is === "carries" ? ` carries ${instanceInterface}` : howKnown(backend)}`;
  if (wg.ok) return ok(name, `${module}, wg ${wg.value}`);
  return fail(name, `${module}, but ${whyUnusable("wg", wg.failure)}`, "Install wireguard-tools.");
}

function judgeProgram({ backend, wireguardGo, tunDevice, socketFolder }: WireguardSeen): Line {
  const carries = backend.is === "carries";
  const noModule = `the kernel has no module${howKnown(backend)}`;
  if (!wireguardGo.ok) {
    return fail(
      name,
      `${carries ? `wireguard-go carries ${instanceInterface}` : noModule}, and ${whyUnusable("wireguard-go", wireguardGo.failure)}`,
      "Install wireguard-go, or run a kernel with the module wireguard.",
    );
  }
  if (socketFolder !== "usable") {
    return fail(
      name,
      `the agent's wireguard-go cannot make its control socket: ${socketFolderPath} ${socketFolder === "none" ? "is not there" : "is not the agent's"}`,
      `install -d -o AGENT ${socketFolderPath} for now; RuntimeDirectory=wireguard in its unit for every start.`,
    );
  }
  if (carries) return ok(name, `wireguard-go ${wireguardGo.value} carries ${instanceInterface}`);
  switch (tunDevice) {
    case "usable":
      return ok(name, `wireguard-go ${wireguardGo.value}: ${noModule}`);
    case "none":
      return fail(
        name,
        "wireguard-go has no /dev/net/tun",
        "modprobe tun; the unit needs DeviceAllow=/dev/net/tun.",
      );
    case "hidden":
      return warn(
        name,
        "wireguard-go; /dev/net/tun is not yours to open",
        "Run `sudo connector check` to see it as the agent does; its user needs to open the device.",
      );
  }
}

/** `wg is not installed`, `wg: no end within 10000 ms` */
function whyUnusable(program: string, { facts: { error } }: Failure): string {
  return String(error).startsWith(program) ? String(error) : `${program}: ${error}`;
}

function howKnown({ is }: WireguardSeen["backend"]): string {
  return is === "untried" ? " (by its files; trying it is root's)" : "";
}

function carrierOf(backend: WireguardSeen["backend"]): WireguardBackend | undefined {
  switch (backend.is) {
    case "carries":
    case "tried":
      return backend.backend;
    case "untried":
      return backend.hasModule ? "kernel" : "userspace";
    case "unusable":
      return undefined;
  }
}

async function lookAtBackend(run: Run): Promise<WireguardSeen["backend"]> {
  const kind = await linkKind(instanceInterface, run);
  if (!kind.ok) return { is: "unusable", error: String(kind.failure.facts.error) };
  switch (kind.value) {
    case "wireguard":
      return { is: "carries", backend: "kernel" };
    case "tun":
      return existsSync(controlSocketOf(instanceInterface))
        ? { is: "carries", backend: "userspace" }
        : { is: "unusable", error: "an interface of this name is another program's" };
    case "other":
      return { is: "unusable", error: "an interface of this name is not WireGuard" };
    case "none":
      return tried(await bestBackend(`cncheck${process.pid}`, run));
  }
}

function tried(best: Result<WireguardBackend>): WireguardSeen["backend"] {
  if (best.ok) return { is: "tried", backend: best.value };
  const error = String(best.failure.facts.error);
  return /not permitted/i.test(error) ? { is: "untried", hasModule: hasModule() } : { is: "unusable", error };
}

/** Built in, or a file that can be loaded. */
function hasModule(): boolean {
  return ["modules.builtin", "modules.dep"].some((list) => {
    try {
      return readFileSync(`/lib/modules/${release()}/${list}`, "utf8").includes("/wireguard.ko");
    } catch {
      return false;
    }
  });
}

/** Opening it makes nothing: that takes an ioctl. */
function lookAtTunDevice(): WireguardSeen["tunDevice"] {
  try {
    closeSync(openSync("/dev/net/tun", constants.O_RDWR));
    return "usable";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EACCES" || code === "EPERM" ? "hidden" : "none";
  }
}

/** Group and others count as the agent's: which groups it is in is not known here. */
function lookAtSocketFolder(agentUid: number | undefined): WireguardSeen["socketFolder"] {
  if (agentUid === undefined || agentUid === 0) return "usable";
  try {
    const { uid, mode } = statSync(socketFolderPath);
    return uid === agentUid || (mode & 0o022) !== 0 ? "usable" : "closed";
  } catch {
    return "none";
  }
}
