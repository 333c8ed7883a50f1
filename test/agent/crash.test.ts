import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { rolldown } from "rolldown";
import { beforeAll, expect, test } from "vitest";
import { temporaryFolder } from "../support/folder.ts";

/** Real processes, killed at random moments. `CRASH_KILLS=5000` for a long run, `CRASH_SEED` to repeat one. */
const kills = Number(process.env.CRASH_KILLS ?? 160);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);
const bundles = temporaryFolder();
const child = join(bundles.path, "granting-child.mjs");

/** As one file of plain JavaScript it starts in a quarter of the time. */
beforeAll(async () => {
  const input = join(import.meta.dirname, "../support/granting-child.ts");
  const build = await rolldown({ input, platform: "node" });
  await build.write({ file: child, format: "esm" });
  await build.close();
  return () => bundles[Symbol.dispose]();
});

test("SIGKILL in the middle of granting: no address granted twice, no grant forgotten", {
  timeout: kills * 2_000,
}, async () => {
  using folder = temporaryFolder();
  const chains = [0, 1].map((chain) =>
    killAgainAndAgain(join(folder.path, `${chain}.db`), seed + chain, kills / 2),
  );
  const acknowledged = (await Promise.all(chains)).reduce((sum, count) => sum + count, 0);
  expect(acknowledged, `seed ${seed}`).toBeGreaterThan(kills);
});

async function killAgainAndAgain(path: string, firstSeed: number, times: number): Promise<number> {
  const told = new Told();
  for (let i = 0; i < times; i++) {
    // The first half of the moments lies in starting, opening and adopting, the other in granting.
    const afterReadyMs = ((firstSeed * 7 + i * 13) % 50) - 10;
    await runAndKill([path, String(firstSeed + i)], afterReadyMs, told);
    told.died();
  }
  return told.count;
}

async function runAndKill(args: string[], afterReadyMs: number, told: Told): Promise<void> {
  const running = spawn(process.execPath, [child, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_COMPILE_CACHE: join(bundles.path, "compiled") },
  });
  // All of it: the next one on this database is to find nobody's lock, and how this one ended is known then.
  const ended = once(running, "close");
  let rest = "";
  const ready = new Promise<void>((resolve) => {
    running.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "ready") resolve();
        told.line(line);
      }
    });
  });
  if (afterReadyMs >= 0) await Promise.race([ready, ended]);
  await sleep(afterReadyMs >= 0 ? afterReadyMs : 60 - afterReadyMs * 4);
  running.kill("SIGKILL");
  await ended;
  told.finished(running.exitCode);
}

interface Grant {
  readonly epoch: string;
  readonly addresses: readonly string[];
}

/** What the processes said, one after the other, on one database: the oracle. */
class Told {
  count = 0;
  /** Told as granted, and not told as ending. */
  readonly #granted = new Map<string, Grant>();
  /** Told as granted and then as ending: on disk or not. */
  readonly #ending = new Map<string, Grant>();
  #have = new Map<string, Grant>();

  line(line: string): void {
    const [what = "", id = "", epoch = "", ...addresses] = line.split(" ");
    switch (what) {
      case "have":
        this.#have.set(id, { epoch, addresses });
        break;
      case "ready":
        this.#adopt();
        break;
      case "granted":
        this.count += 1;
        this.#grant(id, { epoch, addresses });
        break;
      case "ending": {
        const grant = this.#granted.get(id);
        if (grant !== undefined) this.#ending.set(id, grant);
        this.#granted.delete(id);
        break;
      }
      default:
        throw new Error(`the process said: ${line}`);
    }
  }

  finished(exitCode: number | null): void {
    if (exitCode !== null) throw new Error(`the process ended by itself with ${exitCode}`);
  }

  died(): void {
    this.#have = new Map();
  }

  /** A new process has read the database: every told grant must be there as it was told. */
  #adopt(): void {
    for (const [id, grant] of this.#granted) {
      expect(this.#have.get(id), `seed ${seed}: the grant of ${id} is there after the crash`).toEqual(grant);
    }
    for (const id of this.#ending.keys()) if (!this.#have.has(id)) this.#ending.delete(id);
    for (const [id, grant] of this.#have) this.#grant(id, grant);
  }

  #grant(id: string, grant: Grant): void {
    for (const [other, { addresses }] of this.#granted) {
      const shared = addresses.filter((address) => grant.addresses.includes(address));
      if (other !== id) expect(shared, `seed ${seed}: ${id} and ${other} have one address`).toEqual([]);
    }
    const offsets = grant.addresses.map((address) =>
      Number.parseInt(address.split(/[.:]/).at(-1) || "0", address.includes(":") ? 16 : 10),
    );
    expect(offsets[0], `${grant.addresses} have the same offset`).toBe(offsets[1]);
    this.#granted.set(id, grant);
    this.#ending.delete(id);
  }
}
