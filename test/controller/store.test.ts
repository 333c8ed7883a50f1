import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { takeLock } from "../../controller/adapters/lock.ts";
import { makers } from "../../controller/adapters/makers.ts";
import { openStore, openStoreBeside, SqliteStore } from "../../controller/adapters/store.ts";
import type { Saved, Store } from "../../controller/core/ports.ts";
import { type Change, put, remove, tableNames } from "../../controller/core/rows.ts";
import { createTokenLocally } from "../../controller/local.ts";
import { Failure } from "../../protocol/failures.ts";
import { temporaryFolder } from "../support/folder.ts";
import { MemoryStore } from "./harness.ts";
import { entry, rows } from "./rows.ts";

/** The port suite: what every store does. The test double is held to it as well as the real one. */
describe.each([
  ["memory", () => inMemory()],
  ["SQLite", (path: string) => openStore(path)],
] as const)("a store (%s)", (name, open) => {
  test("gives back what was committed", async () => {
    using folder = temporaryFolder();
    await using store = open(folder.path);
    expect(await store.commit({ changes: rows, audit: [] })).toMatchObject({ ok: true });
    expect(listed(await store.load())).toEqual(rows);
  });

  test("replaces and removes by key", async () => {
    using folder = temporaryFolder();
    await using store = open(folder.path);
    await store.commit({ changes: rows, audit: [] });
    const place = { is: "waiting", code: "placement.no-instance" } as const;
    const moved = put("session", { id: "s3", device: "d3", epoch: 4, place, leaving: null });
    await store.commit({ changes: [moved, remove("session", "s1"), remove("connector", "prod")], audit: [] });
    const saved = await store.load();
    expect(saved.connector).toEqual([]);
    expect(saved.session.map(({ id, epoch }) => `${id} ${epoch}`)).toEqual(["s2 2", "s3 4"]);
  });

  test("keeps its id and lists the audit newest first, in pages", async () => {
    using folder = temporaryFolder();
    await using store = open(folder.path);
    const { controllerId } = await store.load();
    const audit = ["group/a", "group/b", "group/c"].map(entry);
    await store.commit({ changes: [], audit });
    const newest = await store.audit({ before: undefined, limit: 2 });
    expect(newest).toMatchObject({
      value: [
        { id: 3, ...audit[2] },
        { id: 2, ...audit[1] },
      ],
    });
    expect(await store.audit({ before: 2, limit: 2 })).toMatchObject({ value: [{ id: 1, ...audit[0] }] });
    expect((await store.load()).controllerId).toBe(controllerId);
  });

  test("takes ten thousand sessions at once", async () => {
    using folder = temporaryFolder();
    await using store = open(folder.path);
    const place = { is: "placed", instance: "i1", pool: "Pool1" } as const;
    const changes = Array.from({ length: 10_000 }, (_, i) =>
      put("session", { id: `s${i}`, device: `d${i}`, epoch: 1, place, leaving: null }),
    );
    expect(await store.commit({ changes, audit: [] })).toMatchObject({ ok: true });
    expect((await store.load()).session).toHaveLength(10_000);
    expect(name).toBeTruthy();
  });
});

function inMemory(): Store {
  const memory = new MemoryStore();
  return {
    load: async () => memory.saved(),
    commit: async (plan) => {
      memory.commit(plan);
      return { ok: true, value: undefined };
    },
    audit: async ({ before, limit }) => {
      const entries = memory.audit.map((draft, i) => ({ id: i + 1, ...draft })).reverse();
      return {
        ok: true,
        value: entries.filter(({ id }) => before === undefined || id < before).slice(0, limit),
      };
    },
    tokens: async () => ({ ok: true, value: memory.saved().token }),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Rows as changes in the order of `rows`. */
function listed(saved: Saved): Change[] {
  const order = rows.map(({ table }) => table);
  return tableNames
    .flatMap((table) => saved[table].map((row) => ({ table, put: row }) as Change))
    .sort((a, b) => order.indexOf(a.table) - order.indexOf(b.table));
}

describe("the SQLite store", () => {
  test("survives its process: what was committed is there when it is opened again", async () => {
    using folder = temporaryFolder();
    {
      await using store = openStore(folder.path);
      await store.commit({ changes: rows, audit: [entry("group/staff")] });
    }
    await using again = openStore(folder.path);
    expect(listed(await again.load())).toEqual(rows);
  });

  test("writes all of a plan or nothing", async () => {
    using folder = temporaryFolder();
    await using store = openStore(folder.path);
    await store.commit({ changes: rows, audit: [] });
    const twin = put("token", { name: "other", hash: "h3", createdAtMs: 1, createdBy: "local" });
    const plan = {
      changes: [put("group", { name: "guests", createdAtMs: 1 }), twin],
      audit: [entry("group/x")],
    };
    expect(await store.commit(plan)).toMatchObject({ ok: false, failure: { code: "store.failing" } });
    expect((await store.load()).group).toHaveLength(1);
    expect(await store.audit({ before: undefined, limit: 9 })).toEqual({ ok: true, value: [] });
  });

  test("says that the disk is full, and goes on when there is room again", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "controller.db");
    {
      await using made = openStore(folder.path);
      await made.load();
    }
    const database = new DatabaseSync(path);
    await using store = new SqliteStore(database, undefined);
    const pages = Number(database.prepare("PRAGMA page_count").get()?.page_count);
    database.exec(`PRAGMA max_page_count = ${pages}`);
    const changes = Array.from({ length: 1000 }, (_, i) => put("group", { name: `g${i}`, createdAtMs: 1 }));
    expect(await store.commit({ changes, audit: [] })).toMatchObject({ failure: { code: "store.full" } });
    expect((await store.load()).group).toEqual([]);
    database.exec("PRAGMA max_page_count = 100000");
    expect(await store.commit({ changes, audit: [] })).toMatchObject({ ok: true });
  });

  test("says that the database cannot be written", async () => {
    using folder = temporaryFolder();
    {
      await using made = openStore(folder.path);
      await made.load();
    }
    const database = new DatabaseSync(join(folder.path, "controller.db"), { readOnly: true });
    await using store = new SqliteStore(database, undefined);
    expect(await store.commit({ changes: rows, audit: [] })).toMatchObject({
      failure: { code: "store.read-only" },
    });
  });

  test.each([
    ["truncated", (path: string) => truncateSync(path, statSync(path).size - 4096)],
    ["overwritten in the middle", (path: string) => overwrite(path)],
    [
      "something else",
      (path: string) => writeFileSync(path, "this is no database, and it is long enough to tell"),
    ],
  ] as const)("does not start from a database that is %s, and leaves it as it is", async (_what, damage) => {
    using folder = temporaryFolder();
    {
      await using made = openStore(folder.path);
      await made.commit({ changes: rows, audit: [] });
    }
    const path = join(folder.path, "controller.db");
    damage(path);
    const before = readFileSync(path);
    const failure = failureOf(() => openStore(folder.path));
    expect(failure.code).toBe("store.damaged");
    expect(failure.facts).toMatchObject({ file: path });
    expect(failure.hint).toMatch(/backup/);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("does not start empty where a database has been", async () => {
    using folder = temporaryFolder();
    {
      await using made = openStore(folder.path);
      await made.commit({ changes: rows, audit: [] });
    }
    for (const name of ["controller.db", "controller.db-wal", "controller.db-shm"]) {
      rmSync(join(folder.path, name), { force: true });
    }
    expect(failureOf(() => openStore(folder.path)).facts.problem).toMatch(/^missing/);
    rmSync(join(folder.path, "controller.lock"));
    await using store = openStore(folder.path);
    expect((await store.load()).connector).toEqual([]);
  });

  test("does not start from a newer version's database", async () => {
    using folder = temporaryFolder();
    const database = new DatabaseSync(join(folder.path, "controller.db"));
    database.exec("PRAGMA user_version = 99");
    database.close();
    expect(failureOf(() => openStore(folder.path)).code).toBe("store.newer");
  });

  test("brings the first version's database along, with nothing where there was no place for it", async () => {
    using folder = temporaryFolder();
    {
      await using store = openStore(folder.path);
      await store.commit({ changes: rows, audit: [] });
    }
    const database = new DatabaseSync(join(folder.path, "controller.db"));
    database.exec("ALTER TABLE connector DROP COLUMN networks; ALTER TABLE instance DROP COLUMN vpc_cidrs");
    database.exec("ALTER TABLE session DROP COLUMN leaving; ALTER TABLE session DROP COLUMN lost");
    database.exec("DROP TABLE carrier; DROP TABLE restart");
    database.exec("PRAGMA user_version = 1");
    database.close();
    await using store = openStore(folder.path);
    const known = rows.filter(({ table }) => table !== "carrier" && table !== "restart");
    const before = known.map((change) => {
      if (change.table === "connector" && "put" in change)
        return put("connector", { ...change.put, networks: [] });
      if (change.table === "instance" && "put" in change)
        return put("instance", { ...change.put, vpcCidrs: [] });
      if (change.table === "session" && "put" in change)
        return put("session", { ...change.put, leaving: null, lost: undefined });
      return change;
    });
    expect(listed(await store.load())).toEqual(before);
  });

  test("a first controller that has not made its database yet is running, and nothing is lost", () => {
    using folder = temporaryFolder();
    using _ = takeLock(join(folder.path, "controller.lock"));
    expect(failureOf(() => openStore(folder.path)).code).toBe("store.locked");
  });

  test("belongs to one controller at a time", async () => {
    using folder = temporaryFolder();
    {
      await using store = openStore(folder.path);
      await store.load();
      expect(failureOf(() => openStore(folder.path)).code).toBe("store.locked");
      const made = await createTokenLocally(folder.path, "first");
      expect(made).toMatchObject({ ok: true, value: { name: "first", createdBy: "local" } });
      const tokens = await store.tokens();
      expect(tokens.ok && tokens.value.map(({ hash }) => hash)).toEqual([
        makers.hash(made.ok ? made.value.secret : ""),
      ]);
      expect(await createTokenLocally(folder.path, "first")).toMatchObject({
        failure: { code: "admin.conflict" },
      });
    }
    await using again = openStoreBeside(folder.path);
    expect((await again.load()).token).toHaveLength(1);
  });

  test("is readable by its owner's group at most", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "state");
    await using store = openStore(path);
    await store.load();
    expect(statSync(path).mode & 0o007).toBe(0);
    // Also where the operator made the folder, and open to all.
    const open = join(folder.path, "open");
    mkdirSync(open, { mode: 0o755 });
    await using other = openStore(open);
    await other.load();
    for (const name of ["controller.db", "controller.db-wal", "controller.db-shm"]) {
      expect(statSync(join(open, name)).mode & 0o007, name).toBe(0);
    }
    chmodSync(path, 0o700);
  });
});

function overwrite(path: string): void {
  const bytes = readFileSync(path);
  bytes.fill(0xa5, 4096, 4096 * 6);
  writeFileSync(path, bytes);
}

function failureOf(action: () => unknown): Failure {
  try {
    action();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
