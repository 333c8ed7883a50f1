/** A value for a text whose lines are commands: printable and in one piece, else a SyntaxError. */
export function oneWord(value: string): string {
  if (!/^[\x21-\x7e]+$/.test(value)) throw new SyntaxError("a value is not one word");
  return value;
}
