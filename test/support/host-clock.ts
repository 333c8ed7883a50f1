import { spawnSync } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Why the wall clock of a process cannot be another than this machine's; undefined when it can. */
export const noHostClock =
  spawnSync("faketime", ["--version"]).status === 0 ? undefined : "faketime is not installed";

/**
 * The wall clock of processes that are started with `env`, also while they run: libfaketime(1). Its monotonic clock stays the
 * machine's, as on a host whose clock is set.
 */
export class HostClock {
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  constructor(folder: string, time: string) {
    this.#file = join(folder, "clock");
    this.set(time);
    this.env = {
      // The dynamic linker's own word for where this architecture has its libraries.
      LD_PRELOAD: "/usr/$LIB/faketime/libfaketime.so.1",
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      // What `set` is told is of this zone.
      TZ: "UTC",
    };
  }

  /** `@1970-01-01 00:01:00` runs on from there; `+3600` is so many seconds ahead, `+0` right. */
  set(time: string): void {
    // Whole: a process that reads an empty file has the right time for a second.
    writeFileSync(`${this.#file}.new`, `${time}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}
