import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { release } from "node:os";
import type { Result } from "../../../../protocol/failures.ts";
import type { Run } from "../../../../protocol/node/command.ts";
import { linkKind } from "../../../../protocol/node/wireguard/kernel.ts";
import { bestBackend } from "../../../../protocol/node/wireguard/open.ts";
import type { WireguardBackend } from "../../../../protocol/node/wireguard/port.ts";
import { instanceInterface } from "../../../../protocol/tunnel.ts";
import { fail, type Line, ok, warn } from "../line.ts";
import { findCommand } from "./host-command.ts";

export interface WireguardSeen {
  /** Who carries the tunnel, by what is there or by trial. */
  readonly backend:
    | { readonly is: "carries" | "tried"; readonly backend: WireguardBackend }
    /** Not for us to try; whether the kernel has the module is known by its files. */
    | { readonly is: "untried"; readonly hasModule: boolean }
    | { readonly is: "unusable"; readonly error: string };
  readonly wg: boolean;
  readonly wireguardGo: boolean;
  readonly tunDevice: "usable" | "none" | "hidden";
}

/** A trial makes an interface of a name of its own and removes it. */
export async function lookAtWireguard(run: Run): Promise<WireguardSeen> {
  return {
    backend: await lookAtBackend(run),
    wg: findCommand("wg") !== undefined,
    wireguardGo: findCommand("wireguard-go") !== undefined,
    tunDevice: lookAtTunDevice(),
  };
}

export function judgeWireguard({ backend, wg, wireguardGo, tunDevice }: WireguardSeen): Line {
  const name = "WireGuard";
  const carrier = carrierOf(backend);
  if (carrier === undefined) {
    const error = backend.is === "unusable" ? backend.error : "unknown";
    return fail(name, `${instanceInterface}: ${error}`, "Remove what stands in the way of the interface.");
  }
  if (backend.is === "carries" && (carrier === "userspace" || wg)) {
    return ok(
      name,
      `${carrier === "kernel" ? "the kernel's module" : "wireguard-go"} carries ${instanceInterface}`,
    );
  }
  const how = backend.is === "untried" ? " (by its files; trying it is root's)" : "";
  switch (carrier) {
    case "kernel":
      if (wg) return ok(name, `the kernel's module${how}`);
      return fail(
        name,
        `the kernel's module${how}, but not the command wg to set it`,
        "Install wireguard-tools.",
      );
    case "userspace":
      if (!wireguardGo) {
        return fail(
          name,
          `the kernel has no module${how}, and wireguard-go is not installed`,
          "Install wireguard-go, or run a kernel with the module wireguard.",
        );
      }
      if (tunDevice === "usable") return ok(name, `wireguard-go: the kernel has no module${how}`);
      if (tunDevice === "none") {
        return fail(
          name,
          "wireguard-go has no /dev/net/tun",
          "modprobe tun; the unit needs DeviceAllow=/dev/net/tun.",
        );
      }
      return warn(
        name,
        "wireguard-go; /dev/net/tun is not yours to open",
        "Run `sudo connector check` to see it as the agent does; its user needs to open the device.",
      );
  }
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
      return { is: "carries", backend: "userspace" };
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
