/** Says how to see the rest, when there may be one. */
export function withMore(text: string, option: string, next: string | null): string {
  return next === null ? text : `${text}\n\nThere may be more: ${option} ${next}`;
}
