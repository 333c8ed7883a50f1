import type { Blocked } from "./network.ts";
import type { Way } from "./scenario.ts";

export const nothing = () => {};

/** Blocks what goes this way until it is over. */
export function block(blocked: Blocked, way: Way, over: () => void): () => void {
  if (way !== "in") blocked.out = true;
  if (way !== "out") blocked.in = true;
  return () => {
    open(blocked);
    over();
  };
}

export function open(blocked: Blocked): void {
  blocked.in = false;
  blocked.out = false;
}

export function both(one: () => void, other: () => void): () => void {
  return () => {
    one();
    other();
  };
}
