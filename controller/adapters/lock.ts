import { DatabaseSync } from "node:sqlite";
import { Failure } from "../../protocol/failures.ts";
import { resultCode } from "./sqlite.ts";

/**
 * One controller per state directory. The lock is SQLite's own on a file beside the database: the kernel lets go of
 * it when the process ends, however it ends. Fails with `store.locked`.
 */
export function takeLock(path: string): Disposable {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (resultCode(error) === sqliteBusy) throw new Failure("store.locked", { file: path }, error);
    throw error;
  }
  return { [Symbol.dispose]: () => database.close() };
}

const sqliteBusy = 5;
