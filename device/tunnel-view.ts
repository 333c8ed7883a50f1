import { commandRunner } from "../protocol/node/command.ts";
import type { WireguardControl } from "../protocol/node/wireguard/port.ts";
import { controlSocketOf, UapiControl } from "../protocol/node/wireguard/uapi.ts";
import { WgControl } from "../protocol/node/wireguard/wg-control.ts";
import { TunnelFile, type TunnelOn, type TunnelStatus } from "./adapters/tunnel-file.ts";

/** What `status` shows of the tunnel: what the device said last, and what WireGuard says now. */
export interface TunnelView {
  /** Whether the device that said it runs; otherwise nobody probes. */
  readonly runs: boolean;
  readonly tunnel: TunnelStatus;
  /** Absent when WireGuard has no such peer, or this user may not ask. */
  readonly peer?: {
    readonly handshakeAtMs: number | null;
    readonly rxBytes: number;
    readonly txBytes: number;
  };
}

/** Undefined for a device that has never run with a tunnel to speak of. */
export async function readTunnel(stateFolder: string): Promise<TunnelView | undefined> {
  const last = new TunnelFile(stateFolder).read();
  if (last === undefined || last.tunnel.state === "off") return last;
  const peer = await readPeer(last.tunnel);
  return { ...last, ...(peer === undefined ? {} : { peer }) };
}

const answerWithinMs = 1_000;

async function readPeer({ interface: name, backend, path }: TunnelOn): Promise<TunnelView["peer"]> {
  if (path === null || backend === null) return undefined;
  const reading = await controlOf(name, backend).read();
  const peer = reading.ok ? reading.value.peers.get(path.wireguardKey) : undefined;
  if (peer === undefined) return undefined;
  const { handshakeAtS, rxBytes, txBytes } = peer;
  return { handshakeAtMs: handshakeAtS === undefined ? null : handshakeAtS * 1000, rxBytes, txBytes };
}

function controlOf(name: string, backend: "kernel" | "userspace"): WireguardControl {
  switch (backend) {
    case "kernel":
      return new WgControl(name, commandRunner());
    case "userspace":
      return new UapiControl(controlSocketOf(name), answerWithinMs);
  }
}
