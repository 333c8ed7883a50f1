import type { Clock } from "../time.ts";

/** The host's clocks. Linux: the monotonic one counts from boot and is the same in every process of that boot. */
export const systemClock: Clock = () => ({
  monotonicMs: Number(process.hrtime.bigint()) / 1e6,
  wallMs: Date.now(),
});
