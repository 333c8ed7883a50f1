import type { Instant } from "./time.ts";

/**
 * What every core looks like from outside. It takes inputs and time and returns effects; it owns no timer, socket or
 * file. Results of effects come back as inputs.
 */
export interface Core<Input, Effect> {
  handle(input: Input, now: Instant): readonly Effect[];
  /** The monotonic time (ms) at which the core wants a `tick`, or undefined when nothing is due. */
  nextDeadline(): number | undefined;
}
