import type { Failure } from "../protocol/failures.ts";
import { systemClock } from "../protocol/node/clock.ts";
import { Driver } from "../protocol/node/driver.ts";
import type { Logger } from "../protocol/node/log.ts";
import type { WireguardBackend } from "../protocol/node/wireguard/port.ts";
import { TunnelHost, type TunnelHostOptions } from "./adapters/tunnel.ts";
import type { Attached } from "./core/attachment.ts";
import { type Counters, Probe, type ProbeEffect, type ProbeInput, type Verdict } from "./core/probe.ts";
import { probeDefaults } from "./core/probe-settings.ts";
import type { Echo, Question } from "./core/question.ts";
import { DeviceTunnel, type TunnelEffect, type TunnelInput } from "./core/tunnel.ts";
import { echoTarget, type InstanceEnd } from "./core/tunnel-plan.ts";
import { pathOf } from "./core/tunnel-state.ts";

export interface TunnelOptions extends Omit<TunnelHostOptions, "onMade"> {
  readonly end: InstanceEnd;
  readonly log: Logger;
  /** What carries the traffic from now on, or nothing; nothing is known of it yet. */
  readonly onCarries?: (path: Attached | undefined) => void;
  /** The probe's word on the path that carries the traffic: when it first answers, goes silent or comes back. */
  readonly onVerdict: (path: Attached, verdict: Verdict) => void;
  /** What keeps the tunnel from being as it should; undefined when nothing does any more. */
  readonly onProblem?: (problem: Failure | undefined) => void;
}

export interface RunningTunnel extends Disposable {
  /** The attachment the device holds from now on; undefined takes the tunnel down. */
  want(attachment: Attached | undefined): void;
  /** Addresses that are reached outside the tunnel from now on. Resolves when they are, or after a second. */
  outside(addresses: readonly string[]): Promise<void>;
  readonly backend: WireguardBackend | undefined;
}

const settleWithinMs = 1_000;

/**
 * Runs the device's tunnel until it is disposed of, which leaves it carrying traffic: the next start adopts it. Whatever
 * cannot be set up is told, and tried again.
 */
export function startTunnel(options: TunnelOptions): RunningTunnel {
  const { log, end, onVerdict, onCarries, onProblem } = options;
  const host = new TunnelHost({ ...options, onMade: () => tunnel.post({ kind: "changed" }) });
  /** What carries the traffic, and is probed. */
  let carrier: Attached | undefined;
  let canAsk = true;
  /** BOUNDED: one for each time the controller's name is looked up, for a second. */
  const waiting = new Set<() => void>();

  const core = new DeviceTunnel(end);
  const tunnel = new Driver<TunnelInput, TunnelEffect>({
    core,
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
        const { effectId, plan, afresh, looks } = effect;
        void host.apply(plan, afresh, looks).then((result) => {
          tunnel.post({ kind: "applied", effectId, result });
          tunnel.flush();
          if (core.isSettled) for (const settled of waiting) settled();
        });
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
        onCarries?.(carrier);
        return;
      case "tell":
        tell(effect.problem);
        onProblem?.(effect.problem);
        return;
    }
  }

  function tell(problem: Failure | undefined): void {
    if (problem === undefined) {
      log.info("the tunnel is as it should be again");
      return;
    }
    const { code, facts, hint } = problem;
    log.warn({ code, ...facts, hint }, "the tunnel cannot be set up, trying again");
  }

  function performProbe(effect: ProbeEffect): void {
    const path = carrier;
    switch (effect.do) {
      case "count": {
        const { effectId } = effect;
        void count(path).then((counters) => probe.post({ kind: "counted", effectId, counters }));
        return;
      }
      case "ask": {
        const { effectId, question } = effect;
        void ask(path, question).then((echo) => probe.post({ kind: "echoed", effectId, echo }));
        return;
      }
      case "tell":
        if (path === undefined || pathOf(path) !== effect.path) return;
        log.info(
          { instance: path.instance, epoch: path.epoch, verdict: effect.verdict },
          "the path was probed",
        );
        tunnel.post({ kind: "verdict", path: effect.path, verdict: effect.verdict, rttMs: effect.rttMs });
        onVerdict(path, effect.verdict);
        return;
    }
  }

  async function count(path: Attached | undefined): Promise<Counters | undefined> {
    return path && (await host.peer(path.wireguardKey));
  }

  async function ask(path: Attached | undefined, question: Question): Promise<Echo> {
    const target = path && echoTarget(path, end);
    const echo: Echo = target === undefined ? { is: "unsent" } : await host.echo(target, question);
    if (echo.is === "unsent" && canAsk) {
      log.warn({ target }, "no echo can be sent, so a silent path is not found");
      // Perhaps somebody took the interface's addresses away.
      tunnel.post({ kind: "changed" });
    }
    canAsk = echo.is !== "unsent";
    return echo;
  }

  return {
    want: (attachment) => tunnel.post({ kind: "want", attachment }),
    outside(addresses) {
      tunnel.post({ kind: "outside", addresses });
      tunnel.flush();
      if (core.isSettled) return Promise.resolve();
      return new Promise((resolve) => {
        const settled = () => {
          clearTimeout(timer);
          waiting.delete(settled);
          resolve();
        };
        const timer = setTimeout(settled, settleWithinMs);
        waiting.add(settled);
      });
    },
    get backend() {
      return host.backend;
    },
    [Symbol.dispose]: () => {
      tunnel[Symbol.dispose]();
      probe[Symbol.dispose]();
      host[Symbol.dispose]();
      for (const settled of waiting) settled();
    },
  };
}
