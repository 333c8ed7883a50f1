import { chmodSync, copyFileSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Architecture, Product } from "./products.ts";
import type { Release } from "./release.ts";

/** A file of a package. Everything is root's. */
export interface PackageFile {
  /** Where it is once installed. */
  readonly path: string;
  readonly content:
    | { readonly is: "copy"; readonly of: string; readonly mode: 0o644 | 0o755 }
    | { readonly is: "text"; readonly text: string | Buffer; readonly mode: 0o644 | 0o755 };
}

/** What one package is made of, and where to. */
export interface OnePackage {
  readonly product: Product;
  readonly architecture: Architecture;
  readonly release: Release;
  readonly files: readonly PackageFile[];
  /** How much it is compressed, 1 to 9; 0: not at all. */
  readonly level: number;
  /** For the files before they are packed; empty. */
  readonly work: string;
  readonly out: string;
}

/** Lays the files below `folder`, with one time for all of them. */
export function layTree(folder: string, files: readonly PackageFile[], epoch: number): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  for (const { path, content } of files) {
    const to = join(folder, path);
    mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
    switch (content.is) {
      case "copy":
        copyFileSync(content.of, to);
        break;
      case "text":
        writeFileSync(to, content.text);
    }
    chmodSync(to, content.mode);
  }
  setTimes(folder, epoch);
}

/** Folders, too, whatever the umask was; from the inside out, because laying a file changes its folder's time. */
export function setTimes(folder: string, epoch: number): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) setTimes(path, epoch);
    else utimesSync(path, epoch, epoch);
  }
  chmodSync(folder, 0o755);
  utimesSync(folder, epoch, epoch);
}
