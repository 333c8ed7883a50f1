import { execFile } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startDnsmasq } from "../../agent/adapters/dnsmasq-process.ts";
import { NftMonitor } from "../../agent/adapters/nft-monitor.ts";
import { temporaryFolder } from "../support/folder.ts";
import { noNamespaces } from "../support/namespaces.ts";
import { keepingLog } from "../support/quiet-log.ts";

const child = join(import.meta.dirname, "descriptors-child.ts");

test("a process that runs out of descriptors goes on, and so do its programs when there are some again", async () => {
  using folder = temporaryFolder();
  const program = (name: string, ...lines: string[]) =>
    writeFileSync(join(folder.path, name), ["#!/bin/sh", ...lines].join("\n"), { mode: 0o755 });
  const runs = (name: string) => `echo $$ > ${join(folder.path, `${name}.pid`)}; while :; do sleep 1; done`;
  program("nft", runs("nft"));
  program(
    "dnsmasq",
    'case "$1" in --version) echo "Dnsmasq version 2.90"; echo "options: nftset"; exit;; --test) exit;; esac',
    runs("dnsmasq"),
  );
  const limited = ["-c", 'ulimit -n 80; exec "$0" "$@"', process.execPath, child, folder.path];
  const { stdout } = await promisify(execFile)("sh", limited);
  expect(stdout).toBe("ECONNREFUSED\n");
});

test("a program that cannot even be tried is told, and tried again", async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "file"), "");
  // Node throws then, as it does without memory for another process.
  const inside = [join(folder.path, "file", "env")];
  const files = { config: join(folder.path, "c"), pid: join(folder.path, "p"), log: join(folder.path, "l") };
  expect(await startDnsmasq(inside, files)).toMatchObject({
    ok: false,
    failure: { facts: { error: expect.stringContaining("ENOTDIR") } },
  });
  const { log, lines } = keepingLog();
  using _ = new NftMonitor({ log, inside, onChange: () => undefined });
  expect(lines).toMatchObject([{ level: "warn", fields: { why: expect.stringContaining("ENOTDIR") } }]);
});

const nameless = "a user without a name, as in a container, has a resolver as far as it may have one";
test.skipIf(noNamespaces !== undefined)(
  noNamespaces === undefined ? nameless : `${nameless} (skipped: ${noNamespaces})`,
  { timeout: 20_000 },
  async () => {
    using folder = temporaryFolder();
    chmodSync(folder.path, 0o777);
    const program = [process.execPath, join(import.meta.dirname, "nameless-child.ts"), folder.path];
    // In a network of its own: nobody answers there.
    const command = ["-n", "setpriv", "--reuid", "54321", "--clear-groups", ...program];
    const { stdout } = await promisify(execFile)("unshare", command);
    expect(stdout).toBe("lives on\n");
  },
);
