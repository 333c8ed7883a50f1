// Runs a script of this project on the pinned Node, setting up first what is missing:
//   node scripts/run.mjs lab/main.ts --once
// Plain JavaScript for Node 18 and newer.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pinnedNode, root, setUpPackages } from "./setup.mjs";

const [script, ...args] = process.argv.slice(2);
if (script === undefined) {
  console.error("usage: node scripts/run.mjs SCRIPT [ARG ...]");
  process.exit(2);
}
setUpPackages();

const path = `${dirname(pinnedNode)}:${process.env.PATH ?? ""}`;
const child = spawn(pinnedNode, [resolve(root, script), ...args], {
  stdio: "inherit",
  env: { ...process.env, PATH: path },
});
// A terminal sends Ctrl-C to the whole group; the child decides when to end, and this process ends with it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
// npm that is killed tells nobody, and the shell between it and this process would wait on.
if (process.env.npm_lifecycle_event !== undefined) {
  const starter = parentOf(process.ppid);
  setInterval(() => parentOf(process.ppid) === starter || child.kill("SIGTERM"), 1_000).unref();
}
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));

/** The parent's number, which changes when the parent ends (proc_pid_stat(5), field 4). */
function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
  } catch {
    return undefined;
  }
}
