/** What must be true at any moment, by number; each is explained where it is checked. */
export const invariants = {
  0: "No core throws, and nobody says what the other cannot read.",
  1: "No address is in two sessions: not in the controller's tables, not on a disk, not in a kernel.",
  2: "A grant is on the instance's disk before anybody hears of it, and before its packets pass; who is attached was granted that.",
  3: "What the controller says is on its disk before.",
  4: "No session is on an instance whose pool does not hold its address.",
  5: "Epochs never fall, and one epoch is one place.",
  6: "A one-time secret lets one key in, once.",
  7: "A device whose path works stays where it is, unless an operator or it itself wants otherwise.",
  8: "A device without a working path is on a working instance soon, where there is one.",
  9: "A session is placed on an Active instance with a free address, and with the least load of those.",
  10: "A connector has no more instances than its mode allows.",
  11: "When nothing goes wrong any more the world becomes quiet.",
  12: "Then everybody is where the model says: instances Active, devices attached, nobody served twice or in vain.",
  13: "An address rests for a whole cool-down before another device has it.",
  14: "Nothing grows without bound.",
  15: "Who is refused keeps no address from others.",
} as const;

export type Number = keyof typeof invariants;

/** An invariant that does not hold. */
export class Finding extends Error {
  readonly number: Number;

  constructor(number: Number, what: string) {
    super(`invariant ${number}: ${what}`);
    this.number = number;
  }
}

export function check(isTrue: boolean, number: Number, what: () => string): asserts isTrue {
  if (!isTrue) throw new Finding(number, what());
}
