import { type Result, success } from "../protocol/failures.ts";
import { systemClock } from "../protocol/node/clock.ts";
import { Driver } from "../protocol/node/driver.ts";
import type { Logger } from "../protocol/node/log.ts";
import { TunnelHost, type TunnelHostOptions } from "./adapters/tunnel.ts";
import type { Attached } from "./core/attachment.ts";
import { Probe, type ProbeEffect, type ProbeInput, probeDefaults, type Verdict } from "./core/probe.ts";
import { DeviceTunnel, pathOf, type TunnelEffect, type TunnelInput } from "./core/tunnel.ts";
import { echoTarget, type InstanceEnd } from "./core/tunnel-plan.ts";

export interface TunnelOptions extends Omit<TunnelHostOptions, "onMade"> {
  readonly end: InstanceEnd;
  readonly log: Logger;
  /** The probe's word on the path that carries the traffic: when it first answers, goes silent or comes back. */
  readonly onVerdict: (path: Attached, verdict: Verdict) => void;
}

export interface RunningTunnel extends Disposable {
  /** The attachment the device holds from now on; undefined takes the tunnel down. */
  want(attachment: Attached | undefined): void;
}

/** An answer later than this is none: the next question comes each second. */
const echoWithinMs = 800;

/**
 * Runs the device's tunnel until it is disposed of, which leaves it carrying traffic: the next start adopts it. Fails with
 * `datapath.failing` when the name is taken by something else, or the host cannot be asked.
 */
export async function startTunnel(options: TunnelOptions): Promise<Result<RunningTunnel>> {
  const { log, end, onVerdict } = options;
  const opened = await TunnelHost.open({ ...options, onMade: () => tunnel.post({ kind: "changed" }) });
  if (!opened.ok) return opened;
  const host = opened.value;
  /** What carries the traffic, and is probed. */
  let carrier: Attached | undefined;

  const tunnel = new Driver<TunnelInput, TunnelEffect>({
    core: new DeviceTunnel(end),
    perform: (effects) => {
      for (const effect of effects) performTunnel(effect);
    },
    tick: { kind: "tick" },
    clock: systemClock,
  });
  const probe = new Driver<ProbeInput, ProbeEffect>({
    core: new Probe(probeDefaults),
    perform: (effects) => {
      for (const effect of effects) performProbe(effect);
    },
    tick: { kind: "tick" },
    clock: systemClock,
  });

  function performTunnel(effect: TunnelEffect): void {
    switch (effect.do) {
      case "apply": {
        const { effectId, plan, afresh } = effect;
        void host.apply(plan, afresh).then((result) => tunnel.post({ kind: "applied", effectId, result }));
        return;
      }
      case "readHandshake": {
        const { effectId } = effect;
        void host.peer(effect.publicKey).then((peer) => {
          tunnel.post({ kind: "handshakeRead", effectId, isDone: peer?.handshakeAtS !== undefined });
        });
        return;
      }
      case "carries":
        carrier = effect.path;
        // Without an address to ask, silence proves nothing.
        probe.post({ kind: "watch", path: carrier && echoTarget(carrier, end) && pathOf(carrier) });
        log.info({ instance: carrier?.instance ?? "none" }, "the tunnel's traffic goes another way");
        return;
      case "tell":
        log.warn({ code: effect.failure.code, ...effect.failure.facts }, "the tunnel cannot be set up");
        return;
    }
  }

  function performProbe(effect: ProbeEffect): void {
    const path = carrier;
    switch (effect.do) {
      case "readReceived": {
        const { effectId } = effect;
        void readReceived(path).then((rxBytes) => probe.post({ kind: "received", effectId, rxBytes }));
        return;
      }
      case "echo": {
        const { effectId } = effect;
        void echo(path).then((answered) => probe.post({ kind: "echoed", effectId, answered }));
        return;
      }
      case "tell":
        if (path === undefined || pathOf(path) !== effect.path) return;
        tunnel.post({ kind: "verdict", path: effect.path, verdict: effect.verdict });
        onVerdict(path, effect.verdict);
        return;
    }
  }

  async function readReceived(path: Attached | undefined): Promise<number | undefined> {
    return path && (await host.peer(path.wireguardKey))?.rxBytes;
  }

  async function echo(path: Attached | undefined): Promise<boolean> {
    const target = path && echoTarget(path, end);
    return target !== undefined && (await host.echo(target, echoWithinMs));
  }

  return success({
    want: (attachment) => tunnel.post({ kind: "want", attachment }),
    [Symbol.dispose]: () => {
      tunnel[Symbol.dispose]();
      probe[Symbol.dispose]();
      host[Symbol.dispose]();
    },
  });
}
