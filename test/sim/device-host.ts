import type { Attached, Wants } from "../../device/core/attachment.ts";
import { Device } from "../../device/core/device.ts";
import type { DeviceEffect, DeviceInput } from "../../device/core/effects.ts";
import { Probe, type ProbeEffect, type ProbeInput } from "../../device/core/probe.ts";
import { nothingSaved, type SavedState } from "../../device/core/saved.ts";
import { DeviceTunnel, type TunnelEffect, type TunnelInput } from "../../device/core/tunnel.ts";
import { echoTarget } from "../../device/core/tunnel-plan.ts";
import { pathOf } from "../../device/core/tunnel-state.ts";
import { failed, success } from "../../protocol/failures.ts";
import { type LinkInput, linkDefaults } from "../../protocol/link.ts";
import { proofText } from "../../protocol/messages.ts";
import { Secret } from "../../protocol/secret.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import type { Agenda } from "./agenda.ts";
import { DeviceKernel, type InstanceKernel } from "./kernel.ts";
import { key, sign } from "./makers.ts";
import type { Blocked, Client, Network } from "./network.ts";
import { Process } from "./process.ts";
import type { Random } from "./random.ts";

const wallStartMs = Date.UTC(2026, 0, 1);

export interface DeviceOptions {
  readonly agenda: Agenda;
  readonly random: Random;
  readonly network: Network;
  readonly find: (endpoint: string) => InstanceKernel | undefined;
  readonly loss: number;
  readonly delayMs: { readonly min: number; readonly max: number };
  /** The device has taken what it holds now. */
  readonly onHold: (host: DeviceHost) => void;
}

/** A user's host: kernel, state file, and the device's three cores while it runs, joined as `device/` joins them. */
export class DeviceHost implements Client {
  readonly name: string;
  readonly user: string;
  readonly address: string;
  readonly control: Blocked = { out: false, in: false };
  readonly isUp = true;
  readonly kernel: DeviceKernel;
  readonly identityKey: string;
  saved: SavedState = nothingSaved;
  code: Secret | undefined;
  wants: Wants = "attached";
  /** When it last wanted something else. */
  turnedAtMs = Number.NEGATIVE_INFINITY;
  isDiskFull = false;
  isTunnelFailing = false;
  device: Device | undefined;
  processes: readonly { readonly core: object; kill(): void; post(input: never): void }[] = [];
  post: (input: DeviceInput) => void = () => {};
  starts = 0;
  readonly #options: DeviceOptions;

  constructor(number: number, options: DeviceOptions) {
    this.name = `device ${number}`;
    this.user = `user${number}`;
    // Two share an office, the others are at home.
    this.address = number <= 2 ? `198.51.100.${number}` : `203.0.${number}.1`;
    this.identityKey = key("dkey", number);
    this.#options = options;
    const { agenda, random, find, loss, delayMs } = options;
    const publicKey = key("dwg", number);
    this.kernel = new DeviceKernel({ publicKey, agenda, random, find, loss, delayMs });
  }

  get now() {
    const { nowMs } = this.#options.agenda;
    return { monotonicMs: nowMs + 500_000.75, wallMs: wallStartMs + nowMs };
  }

  start(): void {
    if (this.device !== undefined) return;
    this.starts += 1;
    const { agenda, random, network } = this.#options;
    const clock = () => this.now;
    const jitter = random.fork(`device ${this.starts}`);
    let carrier: Attached | undefined;

    const core = new Device({
      link: { ...linkDefaults, random: () => jitter.next() },
      ...{
        hostOs: "Debian",
        version: "0.1.0",
        probes: true,
        wants: this.wants,
        code: this.code,
        saved: this.saved,
      },
    });
    const device = new Process<DeviceInput, DeviceEffect>({
      ...{ agenda, core, tick: { kind: "tick" }, clock },
      perform: (effects) => {
        for (const effect of effects) performDevice(effect);
      },
    });
    const tunnel = new Process<TunnelInput, TunnelEffect>({
      ...{ agenda, core: new DeviceTunnel(instanceEnd), tick: { kind: "tick" }, clock },
      perform: (effects) => {
        for (const effect of effects) performTunnel(effect);
      },
    });
    const probe = new Process<ProbeInput, ProbeEffect>({
      ...{ agenda, core: new Probe(), tick: { kind: "tick" }, clock },
      perform: (effects) => {
        for (const effect of effects) performProbe(effect);
      },
    });

    const performDevice = (effect: DeviceEffect): void => {
      switch (effect.do) {
        case "dial":
          network.dial(this, effect.dialId);
          return;
        case "prove":
          this.#prove(effect);
          return;
        case "send":
          network.fromClient(this, effect.dialId, effect.message);
          return;
        case "hangUp":
          network.hangUp(this, effect.dialId, effect.close);
          return;
        case "save": {
          const { effectId } = effect;
          if (!this.isDiskFull) this.saved = effect.state;
          if (this.isDiskFull) device.post({ kind: "saveFailed", effectId, why: "store.full" });
          else device.post({ kind: "saved", effectId });
          return;
        }
        case "lead":
          this.#options.onHold(this);
          tunnel.post({ kind: "want", attachment: effect.to });
          return;
        case "removeCode":
          this.code = undefined;
          return;
        case "tell":
      }
    };

    const performTunnel = (effect: TunnelEffect): void => {
      switch (effect.do) {
        case "apply": {
          const { effectId, plan, afresh } = effect;
          const isFailing = this.isTunnelFailing;
          agenda.after(random.between(1, 30), () => {
            if (!tunnel.isRunning) return;
            if (!isFailing) this.kernel.bring(plan, afresh);
            const result = isFailing ? failed("tunnel.failing") : success({ names: undefined });
            tunnel.post({ kind: "applied", effectId, result });
          });
          return;
        }
        case "readHandshake": {
          const isDone = this.kernel.reading(effect.publicKey)?.handshakeAtS !== undefined;
          tunnel.post({ kind: "handshakeRead", effectId: effect.effectId, isDone });
          return;
        }
        case "carries": {
          carrier = effect.path;
          const path = carrier && echoTarget(carrier, instanceEnd) && pathOf(carrier);
          probe.post({ kind: "watch", path });
          device.post({ kind: "carries", path: carrier });
          return;
        }
        case "tell":
      }
    };

    const performProbe = (effect: ProbeEffect): void => {
      switch (effect.do) {
        case "count": {
          const reading = carrier && this.kernel.reading(carrier.wireguardKey);
          const counters = reading && { rxBytes: reading.rxBytes, txBytes: reading.txBytes };
          probe.post({ kind: "counted", effectId: effect.effectId, counters });
          return;
        }
        case "ask":
          this.kernel.ask(effect.question, (echo) =>
            probe.post({ kind: "echoed", effectId: effect.effectId, echo }),
          );
          return;
        case "tell":
          if (carrier === undefined || pathOf(carrier) !== effect.path) return;
          tunnel.post({ kind: "verdict", path: effect.path, verdict: effect.verdict });
          device.post({ kind: "verdict", path: carrier, verdict: effect.verdict });
      }
    };

    this.device = core;
    this.processes = [device, tunnel, probe];
    this.post = (input) => device.post(input);
    device.post({ kind: "start" });
  }

  /** The tunnel stays as it is; the next process adopts it. */
  kill(): void {
    for (const process of this.processes) process.kill();
    this.processes = [];
    this.device = undefined;
    this.post = () => {};
    this.#options.network.clientDied(this, true);
  }

  hear(input: LinkInput): void {
    this.post({ kind: "link", input });
  }

  invite(code: string): void {
    this.code = new Secret(code);
    this.post({ kind: "code", code: this.code });
  }

  want(wants: Wants): void {
    this.turnedAtMs = this.#options.agenda.nowMs;
    this.wants = wants;
    this.post({ kind: "wants", wants });
  }

  #prove({ dialId, challenge, with: proof }: Extract<DeviceEffect, { do: "prove" }>): void {
    const { identityKey } = this;
    const common = {
      ...{ version: 1, minimumVersion: 1, identityKey, wireguardKey: this.kernel.publicKey },
      signature: sign(proofText("device", challenge, identityKey), identityKey),
      ...{ software: "0.1.0", wallMs: Math.floor(this.now.wallMs) },
    };
    const { network } = this.#options;
    switch (proof.as) {
      case "device":
        network.fromClient(this, dialId, { type: "hello", role: "device", ...common });
        return;
      case "guest":
        network.fromClient(this, dialId, {
          type: "join",
          name: this.name,
          code: proof.code.reveal(),
          ...common,
        });
    }
  }
}
