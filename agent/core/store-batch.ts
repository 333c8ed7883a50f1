import type { StorePart } from "./agent-inputs.ts";
import type { StoreBatch } from "./ports.ts";

/** All that one turn stores, as one transaction: later parts win. */
export function mergeParts(parts: readonly StorePart[]): StoreBatch {
  const leases = parts.filter((part) => part.of === "leases");
  const memory = parts.filter((part) => part.of === "memory");
  const clears = memory.findLastIndex(({ desired }) => desired.clear);
  const desired = memory.slice(Math.max(0, clears)).map((part) => part.desired);
  return {
    leases: leases.flatMap(({ rows }) => rows),
    forgotten: leases.flatMap(({ forgotten }) => forgotten),
    recovered: leases.some(({ recovered }) => recovered),
    desired: {
      clear: clears >= 0,
      set: desired.flatMap(({ set }) => set),
      remove: desired.flatMap(({ remove }) => remove),
    },
    facts: memory.flatMap(({ facts }) => facts),
  };
}
