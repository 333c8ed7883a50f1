/** The protocol version this code speaks. Raised when a peer of the version before could misunderstand us. */
export const protocolVersion = 1;

/** The oldest version this code still speaks. */
export const protocolVersionMin = 1;

/** Every version, newest first: when it came and what a peer of the version before must know. */
export const protocolHistory = [
  { version: 1, date: "2026-11-22", change: "First version: enrolment, join, revisioned maps both ways." },
] as const;

/**
 * The version two peers speak: the newest both know, or undefined when there is none.
 * Each peer says the newest version it speaks and the oldest it still accepts.
 */
export function agreedVersion(
  ours: { version: number; minimum: number },
  theirs: { version: number; minimum: number },
): number | undefined {
  const version = Math.min(ours.version, theirs.version);
  return version >= ours.minimum && version >= theirs.minimum ? version : undefined;
}
