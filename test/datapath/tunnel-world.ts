import type { Attached } from "../../device/core/attachment.ts";
import { DeviceTunnel, type TunnelEffect, type TunnelInput } from "../../device/core/tunnel.ts";
import { type Failure, failed, success } from "../../protocol/failures.ts";
import { end } from "./tunnel-attached.ts";

const at = (ms: number) => ({ monotonicMs: ms, wallMs: ms });

/** A core with a world that applies at once, and answers handshakes as the test says. */
export class TunnelWorld {
  readonly core = new DeviceTunnel(end);
  readonly applies: Extract<TunnelEffect, { do: "apply" }>[] = [];
  readonly carried: (string | undefined)[] = [];
  readonly told: string[] = [];
  names: Failure | undefined;
  /** Keys of instances that answer. */
  readonly answering = new Set<string>();
  failing = false;
  /** How long bringing the host to a plan takes. */
  applyMs = 0;
  nowMs = 1_000;

  post(input: TunnelInput): void {
    for (const effect of this.core.handle(input, at(this.nowMs))) this.#perform(effect);
  }

  want(attachment: Attached | undefined): void {
    this.post({ kind: "want", attachment });
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (let left = 10_000; left > 0; left--) {
      const dueMs = this.core.nextDeadline();
      if (dueMs === undefined || dueMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.post({ kind: "tick" });
    }
    this.nowMs = endMs;
  }

  get last() {
    return this.applies.at(-1);
  }

  #perform(effect: TunnelEffect): void {
    const { nowMs } = this;
    switch (effect.do) {
      case "apply":
        this.applies.push(effect);
        this.nowMs += this.applyMs;
        this.post({
          kind: "applied",
          effectId: effect.effectId,
          result: this.failing ? failed("tunnel.failing", { at: nowMs }) : success({ names: this.names }),
        });
        return;
      case "readHandshake": {
        const { effectId } = effect;
        this.post({ kind: "handshakeRead", effectId, isDone: this.answering.has(effect.publicKey) });
        return;
      }
      case "carries":
        this.carried.push(effect.path?.instance);
        return;
      case "tell":
        this.told.push(effect.problem?.code ?? "fine");
    }
  }
}
