import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

/**
 * Writes the files as one .tar.gz that only its owner may read. Fails when something is at that path already.
 * Returns its size. Throws the file system's error, or that tar failed.
 */
export async function writeArchive(
  path: string,
  folder: string,
  files: readonly { readonly name: string; readonly text: string }[],
): Promise<number> {
  const temporary = mkdtempSync(join(tmpdir(), "connector-bundle-"));
  try {
    for (const { name, text } of files) {
      const file = join(temporary, folder, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text, { mode: 0o600 });
    }
    const owner = ["--owner=0", "--group=0", "--numeric-owner"];
    const tar = spawn("tar", ["-c", ...owner, "-C", temporary, folder], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const exit = once(tar, "exit");
    await Promise.all([
      exit,
      pipeline(tar.stdout, createGzip(), createWriteStream(path, { flags: "wx", mode: 0o600 })),
    ]);
    if (tar.exitCode !== 0) throw new Error(`tar ended with ${tar.exitCode}`);
    return statSync(path).size;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
