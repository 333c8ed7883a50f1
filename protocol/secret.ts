const shown = "[secret]";

/**
 * A value that cannot be printed by accident: string conversion, JSON and inspection all say `[secret]`.
 * `reveal()` is the only way to the text, so every use of a secret can be found by its name.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return shown;
  }
}
