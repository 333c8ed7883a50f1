import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { openStore } from "../../agent/adapters/store.ts";
import { type LeaseRow, pairKey, type Saved, type StoreBatch } from "../../agent/core/ports.ts";
import { Failure } from "../../protocol/failures.ts";
import { mountTmpfs } from "../support/disk.ts";
import { temporaryFolder } from "../support/folder.ts";
import { keepingLog } from "../support/quiet-log.ts";

const clock = { bootId: "boot", monotonicMs: 1234.5, wallMs: 1_800_000_000_000 };

test("what is committed is there after the next opening, and nothing else", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.db");
  const rows = [
    row(1),
    row(2, { ipv4: undefined }),
    row(3, { ipv6: undefined, session: undefined, state: "cooling" }),
  ];
  using first = open(path);
  expect(first.saved).toEqual(nothing);
  commit(first, {
    leases: rows,
    desired: {
      clear: false,
      set: [
        ["session/a", { b: 1 }],
        ["c", null],
      ],
      remove: [],
    },
  });
  commit(first, {
    leases: [{ ...row(1), state: "free", session: undefined, order: 9 }],
    forgotten: [pairKey(undefined, row(2).ipv6), pairKey("10.9.9.9", undefined)],
    desired: { clear: false, set: [], remove: ["c"] },
    facts: [["drain", ["cli"]]],
  });
  first.close();
  using second = open(path);
  expect(second.saved.leases.toSorted((a, b) => a.order - b.order)).toEqual([
    rows[2],
    { ...row(1), state: "free", session: undefined, order: 9 },
  ]);
  expect(second.saved.desired).toEqual(new Map([["session/a", { b: 1 }]]));
  expect(second.saved.facts).toEqual(new Map([["drain", ["cli"]]]));
  expect(second.saved.clock).toEqual(clock);
  commit(second, { desired: { clear: true, set: [["d", 1]], remove: [] } });
  second.close();
  using third = open(path);
  expect(third.saved.desired).toEqual(new Map([["d", 1]]));
});

test("an address never stands in two rows, and a batch is all or nothing", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.db");
  using opened = open(path);
  commit(opened, { leases: [row(1)] });
  for (const clash of [
    { ...row(2), ipv4: row(1).ipv4 },
    { ...row(2), ipv6: row(1).ipv6 },
    { ...row(1), ipv6: undefined },
  ]) {
    const result = opened.store.commit(batch({ leases: [row(3), clash] }), clock);
    expect(result.ok ? "ok" : result.failure.code).toBe("store.failing");
  }
  const moved = { ...row(2), ipv4: row(1).ipv4 };
  commit(opened, { forgotten: [pairKey(row(1).ipv4, row(1).ipv6)], leases: [moved] });
  opened.close();
  using again = open(path);
  expect(again.saved.leases).toEqual([moved]);
});

test("only its owner may read the database", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.db");
  using opened = open(path);
  commit(opened, { leases: [row(1)] });
  for (const name of readdirSync(folder.path)) {
    expect([name, statSync(join(folder.path, name)).mode & 0o777]).toEqual([name, 0o600]);
  }
});

test("a second process is told that the database is in use", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.db");
  using opened = open(path);
  commit(opened, { leases: [row(1)] });
  const script = `
    import { openStore } from ${JSON.stringify(new URL("../../agent/adapters/store.ts", import.meta.url).href)};
    const quiet = { error() {}, warn() {}, info() {} };
    try { openStore(process.argv[1], { log: quiet, busyTimeoutMs: 50 }); console.log("opened"); }
    catch (error) { console.log(error.code); }`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script, path], {
    encoding: "utf8",
  });
  expect(stdout.trim()).toBe("store.locked");
  commit(opened, { leases: [row(2)] });
});

test("a database of a newer version is refused and not touched", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.db");
  open(path).close();
  {
    using database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 99");
  }
  const before = readFileSync(path);
  expect(codeOf(() => open(path))).toBe("store.newer");
  expect(readFileSync(path)).toEqual(before);
  expect(readdirSync(folder.path)).toEqual(["agent.db"]);
});

test("a truncated database, at whatever length, is set aside and remembered as lost until that is over", () => {
  using folder = temporaryFolder();
  const whole = join(folder.path, "whole.db");
  filled(whole).close();
  const { size } = statSync(whole);
  const lengths = [0, 1, 15, 16, 99, 100, 511, 4095, 4096, 4097, size / 2, size - 4096, size - 1];
  for (const [i, length] of lengths.entries()) {
    const path = inFolderOfItsOwn(folder.path, i);
    copyFileSync(whole, path);
    truncateSync(path, Math.floor(length));
    const { log, lines } = keepingLog();
    {
      using opened = openStoreIn(path, log);
      expect({ length, ...opened.saved }).toEqual({
        length,
        ...nothing,
        lostTo: expect.stringMatching(/corrupt-/),
      });
      expect(statSync(opened.saved.lostTo ?? "").size).toBe(Math.floor(length));
      commit(opened, { leases: [row(1)] });
    }
    expect(lines.map(({ level }) => level)).toEqual(["error"]);
    expect(String(lines[0]?.fields.repair)).toContain(".recover");
    using again = open(path);
    expect(again.saved.lostTo).toMatch(/corrupt-/);
    expect(again.saved.leases).toEqual([row(1)]);
    commit(again, { recovered: true });
    again.close();
    using last = open(path);
    expect(last.saved.lostTo).toBeUndefined();
  }
});

test("a flipped bit is noticed, or changes nothing that was saved", () => {
  using folder = temporaryFolder();
  const whole = join(folder.path, "whole.db");
  const good = filled(whole);
  const { saved } = reopened(good, whole);
  const bytes = readFileSync(whole);
  const outcomes = { same: 0, lost: 0, refused: 0 };
  for (let i = 0; i < 300; i++) {
    const at = (i * 7919) % bytes.length;
    const path = inFolderOfItsOwn(folder.path, i);
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (i % 8));
    writeFileSync(path, flipped);
    const found = tryToOpen(path);
    if (found === "store.newer") outcomes.refused += 1;
    else if (found.lostTo !== undefined) outcomes.lost += 1;
    else {
      outcomes.same += 1;
      expect({ at, ...found }).toEqual({ at, ...saved });
    }
  }
  expect(outcomes.lost).toBeGreaterThan(50);
});

test("a crash between setting aside and replacing loses the loss of nothing", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.db");
  writeFileSync(path, "not a database at all");
  open(path).close();
  // As if the process had died after the damaged file was renamed away.
  execFileSync("mv", [path, `${path}.new`]);
  using opened = open(path);
  expect(opened.saved.lostTo).toMatch(/corrupt-/);
});

test("a full disk refuses with store.full, and the same store goes on when there is space", ({ skip }) => {
  using folder = temporaryFolder();
  using disk = mountTmpfs(folder.path, "size=1m") ?? skip("mounting a small disk needs root");
  const path = join(disk.path, "agent.db");
  using opened = open(path);
  commit(opened, { leases: [row(1)] });
  const filler = join(disk.path, "filler");
  spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k"], { stdio: "ignore" });
  const many = Array.from({ length: 200 }, (_, i) => row(i));
  const result = opened.store.commit(batch({ leases: many }), clock);
  expect(result.ok ? "ok" : result.failure.code).toBe("store.full");
  execFileSync("rm", [filler]);
  commit(opened, { leases: many });
  opened.close();
  using again = open(path);
  expect(again.saved.leases).toHaveLength(200);
  expect(again.saved.lostTo).toBeUndefined();
});

test("a disk that turns read-only refuses with store.read-only", ({ skip }) => {
  using folder = temporaryFolder();
  using disk = mountTmpfs(folder.path, "size=1m") ?? skip("mounting a disk needs root");
  const path = join(disk.path, "agent.db");
  open(path).close();
  execFileSync("mount", ["-o", "remount,ro", disk.path]);
  expect(codeOf(() => open(path))).toBe("store.read-only");
  expect(codeOf(() => open(join(disk.path, "other.db")))).toBe("store.read-only");
});

const nothing: Saved = {
  leases: [],
  desired: new Map(),
  facts: new Map(),
  clock: undefined,
  lostTo: undefined,
};

function row(i: number, more: Partial<LeaseRow> = {}): LeaseRow {
  return {
    pool: "staff",
    ipv4: `10.0.${i >> 8}.${i & 255}`,
    ipv6: `2001:db8::${i.toString(16)}`,
    device: `device ${i}`,
    user: "Åse Œ",
    state: "leased",
    session: { id: `session ${i}`, epoch: i + 1 },
    leaseMinutes: 1440,
    untilMonotonicMs: 1000.25 + i,
    untilWallMs: 1_800_000_000_000 + i,
    bootId: "boot",
    order: i,
    ...more,
  };
}

function batch(more: Partial<StoreBatch>): StoreBatch {
  return {
    leases: [],
    forgotten: [],
    desired: { clear: false, set: [], remove: [] },
    facts: [],
    recovered: false,
    ...more,
  };
}

type Opened = ReturnType<typeof open>;

function open(path: string) {
  const { log } = keepingLog();
  return openStoreIn(path, log);
}

function openStoreIn(path: string, log: ReturnType<typeof keepingLog>["log"]) {
  const { store, saved } = openStore(path, { log, busyTimeoutMs: 100 });
  const close = () => store[Symbol.dispose]();
  return { store, saved, close, [Symbol.dispose]: close };
}

function commit({ store }: Opened, more: Partial<StoreBatch>): void {
  expect(store.commit(batch(more), clock)).toEqual({ ok: true, value: undefined });
}

/** Some of everything, on several pages. */
function filled(path: string): Opened {
  const opened = open(path);
  const sessions = Array.from(
    { length: 60 },
    (_, i) => [`session/${i}`, { device: `device ${i}`, epoch: i }] as const,
  );
  commit(opened, {
    leases: Array.from({ length: 60 }, (_, i) => row(i)),
    desired: { clear: false, set: sessions, remove: [] },
    facts: [["prefixes", { ipv4: ["10.0.0.0/28"] }]],
  });
  return opened;
}

function reopened(opened: Opened, path: string): { saved: Saved } {
  opened.close();
  using again = open(path);
  return { saved: again.saved };
}

function tryToOpen(path: string): Saved | "store.newer" {
  try {
    using opened = open(path);
    return opened.saved;
  } catch (error) {
    if (error instanceof Failure && error.code === "store.newer") return error.code;
    throw error;
  }
}

function codeOf(act: () => unknown): string {
  try {
    act();
    return "no failure";
  } catch (error) {
    return error instanceof Failure ? error.code : String(error);
  }
}

function inFolderOfItsOwn(parent: string, i: number): string {
  const path = join(parent, String(i), "agent.db");
  mkdirSync(dirname(path));
  return path;
}

/** Undefined where mounting is not allowed. */
