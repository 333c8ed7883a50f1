/** Where the lab shows what goes on: on a terminal the list is drawn over in place, elsewhere printed when it changes. */
export class Screen {
  readonly #output: NodeJS.WriteStream;
  readonly #startedAtMs = performance.now();
  #drawn = "";
  #printed: string | undefined;
  #printedAtMs = 0;
  #isDirty = true;

  constructor(output: NodeJS.WriteStream) {
    this.#output = output;
  }

  get width(): number | undefined {
    return this.#output.isTTY ? this.#output.columns : undefined;
  }

  get height(): number | undefined {
    return this.#output.isTTY ? this.#output.rows : undefined;
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

  /** Text that the next one replaces. Where nothing can be drawn over, what `moves` all the time is printed now and then. */
  show(text: string, moves?: string): void {
    const whole = moves === undefined ? text : `${text}\n\n${moves}`;
    if (this.#output.isTTY) {
      if (this.#drawn === whole && !this.#isDirty) return;
      this.#output.write(this.#isDirty ? `\n${whole}\n` : `${up(this.#drawn)}${whole}\n`);
    } else {
      const isDue = moves !== undefined && performance.now() - this.#printedAtMs > printEveryMs;
      if (this.#printed === text && !isDue) return;
      this.#printedAtMs = performance.now();
      this.#output.write(`\n${whole}\n`);
    }
    this.#drawn = whole;
    this.#printed = text;
    this.#isDirty = false;
  }
}

const printEveryMs = 15_000;

/** To the first line of what was shown, and everything below it cleared. */
function up(drawn: string): string {
  return `\x1b[${drawn.split("\n").length}A\x1b[J`;
}
