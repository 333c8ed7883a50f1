import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { waitFor } from "../wait.ts";

/** What a command printed at the console, and how it ended. */
export interface Shown {
  readonly code: number;
  readonly text: string;
}

/** The serial console of a virtual machine, with a shell at it from some time on. Its log is qemu's, and whole. */
export class Console implements Disposable {
  readonly logFile: string;
  readonly #path: string;
  #socket: Socket | undefined;
  #received = "";
  #commands = 0;

  constructor(path: string, logFile: string) {
    this.#path = path;
    this.logFile = logFile;
  }

  log(): string {
    try {
      return readFileSync(this.logFile, "utf8");
    } catch {
      return "";
    }
  }

  /**
   * When a shell answers. Typed again and again: what is typed before there is one is lost. It shows no prompt from then on,
   * which would be taken for what the next command printed.
   */
  async ready(withinMs: number): Promise<void> {
    let triedMs = Number.NEGATIVE_INFINITY;
    const mark = `ready${this.#commands++}`;
    await waitFor("a shell at the console", withinMs, () => {
      if (performance.now() - triedMs > 3_000) {
        triedMs = performance.now();
        this.#type(`stty -echo cols 200; PS1=; echo ${broken(mark)}\n`);
      }
      return this.#received.includes(mark);
    });
  }

  /** @throws Error when it does not end in time. */
  async run(command: string, withinMs = 30_000): Promise<Shown> {
    const mark = `done${this.#commands++}`;
    this.#received = "";
    this.#type(`${command}; echo ${broken(mark)} $?\n`);
    const end = new RegExp(`${mark} (\\d+)`);
    const match = await waitFor(`\`${command}\` at the console`, withinMs, () => end.exec(this.#received));
    const text = this.#received.slice(0, match.index).replaceAll("\r", "");
    return { code: Number(match[1]), text };
  }

  [Symbol.dispose](): void {
    this.#socket?.destroy();
  }

  #type(text: string): void {
    this.#socket ??= this.#open();
    this.#socket.write(text);
  }

  #open(): Socket {
    const socket = connect(this.#path);
    // BOUNDED: by what one command prints, and the boot's own text before it.
    socket.setEncoding("utf8").on("data", (text: string) => {
      this.#received = (this.#received + text).slice(-receivedMax);
    });
    socket.on("error", () => {
      this.#socket = undefined;
    });
    return socket;
  }
}

const receivedMax = 1_000_000;

/** As a shell reads it, but not as a terminal echoes it. */
function broken(mark: string): string {
  return `${mark.slice(0, 2)}''${mark.slice(2)}`;
}
