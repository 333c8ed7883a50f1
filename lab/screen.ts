/** Where the lab shows what goes on: on a terminal the list is drawn over in place, elsewhere printed when it changes. */
export class Screen {
  readonly #output: NodeJS.WriteStream;
  readonly #startedAtMs = performance.now();
  #shown: string | undefined;
  #isDirty = true;

  constructor(output: NodeJS.WriteStream) {
    this.#output = output;
  }

  get width(): number | undefined {
    return this.#output.isTTY ? this.#output.columns : undefined;
  }

  /** A line that stays, with the seconds since the start before it. */
  say(text: string): void {
    const seconds = ((performance.now() - this.#startedAtMs) / 1000).toFixed(1);
    this.print(`${seconds.padStart(6)} s  ${text}`);
  }

  /** Text that stays. */
  print(text: string): void {
    this.#output.write(`${text}\n`);
    this.#isDirty = true;
  }

  /** Text that the next one replaces. */
  show(text: string): void {
    if (this.#shown === text && !this.#isDirty) return;
    if (this.#shown === text && !this.#output.isTTY) return;
    this.#output.write(this.#output.isTTY && !this.#isDirty ? `${up(this.#shown)}${text}\n` : `\n${text}\n`);
    this.#shown = text;
    this.#isDirty = false;
  }
}

/** To the first line of what was shown, and everything below it cleared. */
function up(shown = ""): string {
  return `\x1b[${shown.split("\n").length}A\x1b[J`;
}
