import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { makeIdentityKey } from "../../protocol/node/keys.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { scriptedController } from "./controller.ts";
import { attached } from "./fixture.ts";

// One process after the other.
vi.setConfig({ testTimeout: 90_000 });

/** Goes when the processes of the test have ended, whose files it holds: what is registered first is done last. */
function ownFolder() {
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  return folder;
}

/** Also goes after them: none of them dials it while it goes. */
async function ownController() {
  const controller = await scriptedController();
  onTestFinished(() => controller[Symbol.asyncDispose]());
  return controller;
}

const secretCode = "join-code-0123456789";

test("joins, attaches, is stopped, and comes back with the same key and attachment", async () => {
  const folder = ownFolder();
  const controller = await ownController();
  const codeFile = join(folder.path, "code");
  writeFileSync(codeFile, `${secretCode}\n`);
  const first = startDevice(folder.path, controller.url);
  const join1 = await until("join", () => controller.heard("join"));
  expect(join1).toMatchObject({ code: secretCode, name: "laptop" });
  await until("code removed", () => !existsSync(codeFile));
  controller.attaches(attached(3));
  await until("held", () => controller.reported("held"));
  expect((await run("status", folder.path)).code).toBe(0);
  first.child.kill("SIGTERM");
  expect(await first.ended).toBe(0);
  expect(controller.heard("goodbye")).toBeUndefined();

  controller.forget();
  const second = startDevice(folder.path, controller.url);
  const hello = await until("hello", () => controller.heard("hello"));
  expect(hello.identityKey).toBe(join1.identityKey);
  expect(await until("held", () => controller.reported("held"))).toMatchObject({ epoch: 3 });
  expect(statSync(join(folder.path, "state", "keys.json")).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder.path, "state", "state.json")).mode & 0o777).toBe(0o600);
  for (const device of [first, second]) {
    expect(device.output()).not.toContain(secretCode);
    expect(device.output()).not.toContain('"level":"error"');
  }
});

test("logs out and in while it runs", async () => {
  const folder = ownFolder();
  const controller = await ownController();
  writeFileSync(join(folder.path, "code"), secretCode);
  startDevice(folder.path, controller.url);
  await until("link", () => controller.reported("device"));
  controller.attaches(attached(1));
  await until("held", () => controller.reported("held"));
  await run("logout", folder.path);
  await until("detached", () => controller.reported("held") === undefined);
  expect(controller.reported("device")).toMatchObject({ wants: "detached" });
  const status = await run("status", folder.path);
  expect(status).toMatchObject({ code: 0 });
  expect(status.output).toContain("none, logged out");
  await run("login", folder.path);
  await until("wants to be attached", () => (controller.reported("device") as Device).wants === "attached");
});

test("sets a damaged state file aside and goes on; damaged keys are left alone and end it", async () => {
  const folder = ownFolder();
  const controller = await ownController();
  writeFileSync(join(folder.path, "code"), secretCode);
  const first = startDevice(folder.path, controller.url);
  await until("joined", () => !existsSync(join(folder.path, "code")));
  first.child.kill("SIGKILL");
  await first.ended;
  const state = join(folder.path, "state", "state.json");
  writeFileSync(state, readFileSync(state, "utf8").slice(0, 40));
  controller.forget();
  expect((await run("status", folder.path)).code).toBe(2);
  const second = startDevice(folder.path, controller.url);
  await until("hello", () => controller.heard("hello"));
  expect(existsSync(`${state}.damaged`)).toBe(true);
  expect(second.output()).toContain("device.state-damaged");
  second.child.kill("SIGKILL");
  await second.ended;

  const keys = join(folder.path, "state", "keys.json");
  const another = `"privateKey": "${makeIdentityKey().privateKey}"`;
  const damaged = readFileSync(keys, "utf8").replace(/"privateKey": "[^"]+"/, another);
  writeFileSync(keys, damaged);
  const third = startDevice(folder.path, controller.url);
  expect(await third.ended).toBe(78);
  expect(third.output()).toContain("identity.unreadable");
  expect(third.output()).not.toContain("privateKey");
  expect(readFileSync(keys, "utf8")).toBe(damaged);
});

test("a refused code: stays up, says why, and joins when the file has another", async () => {
  const folder = ownFolder();
  const controller = await ownController();
  controller.refuseCode = secretCode;
  writeFileSync(join(folder.path, "code"), secretCode);
  const device = startDevice(folder.path, controller.url);
  await until("refusal in the log", () => device.output().includes("code.expired"));
  expect((await run("status", folder.path)).output).toContain("Ask the administrator for a new code");
  writeFileSync(join(folder.path, "code"), "another-code-0123456789");
  await until("joined", () => !existsSync(join(folder.path, "code")));
  expect(device.child.exitCode).toBeNull();
});

test("a code that cannot be removed, and a word of the user's that cannot be read, end nobody", async () => {
  const folder = ownFolder();
  const controller = await ownController();
  writeFileSync(join(folder.path, "code"), secretCode);
  // A file that was handed over open, as by a shell: nobody can remove its name.
  const handed = ["sh", "-c", 'exec "$@" 3<"$0"', join(folder.path, "code")];
  const state = join(folder.path, "state");
  const device = start(
    [
      "run",
      "--controller",
      controller.url,
      "--tunnel",
      "off",
      "--state-dir",
      state,
      "--code-file",
      "/dev/fd/3",
    ],
    handed,
  );
  await until("link", () => controller.reported("device"));
  controller.attaches(attached(1));
  await until("held", () => controller.reported("held"));
  expect(device.output()).toContain("cannot be removed");
  mkdirSync(join(state, "wants"));
  await until("told", () => device.output().includes("cannot be read"));
  rmdirSync(join(state, "wants"));
  writeFileSync(join(state, "wants"), "detached");
  await until("detached", () => controller.reported("held") === undefined);
  expect(device.child.exitCode).toBeNull();
});

test("a SIGHUP while it starts does not end it", async () => {
  const folder = ownFolder();
  const controller = await ownController();
  writeFileSync(join(folder.path, "code"), secretCode);
  const slow = join(folder.path, "ca.pem");
  execFileSync("mkfifo", [slow]);
  const device = startDevice(folder.path, controller.url, "--ca-file", slow);
  // Opened when the device reads it, which then waits for its end.
  await using writing = await open(slow, "w");
  device.child.kill("SIGHUP");
  await writing.close();
  await until("link", () => controller.reported("device"));
  expect(device.child.exitCode).toBeNull();
});

test.skipIf(process.getuid?.() !== 0)(
  "logout of a device that is just ending takes its tunnel down (skipped without root)",
  async () => {
    const folder = ownFolder();
    const state = join(folder.path, "state");
    mkdirSync(state);
    const ending = spawn("sleep", ["60"], { stdio: "ignore" });
    onTestFinished(() => void ending.kill("SIGKILL"));
    const { pid = 0 } = ending;
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const startedAt = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
    const { session, epoch, instance, wireguardKey } = attached(1);
    const path = { session, epoch, instance, wireguardKey, verdict: null };
    const tunnel = {
      state: "on",
      interface: "ct-none",
      names: { kind: "none" },
      backend: null,
      path,
      problem: null,
    };
    const file = join(state, "tunnel.json");
    writeFileSync(file, JSON.stringify({ format: 1, writer: { pid, startedAt }, tunnel }));
    const logout = start(["logout", "--state-dir", state]);
    await until("it to wait", () => existsSync(join(state, "wants")));
    ending.kill("SIGKILL");
    expect(await logout.ended).toBe(0);
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ tunnel: { path: null } });
  },
);

test("a controller that could not keep the code secret is not dialled", async () => {
  const folder = ownFolder();
  for (const url of ["http://10.0.0.1", "ftp://127.0.0.1", "https://user:word@controller.example", "nope"]) {
    const device = startDevice(folder.path, url);
    expect(await device.ended).toBe(64);
    expect(device.output()).toContain("--controller takes https://HOST");
  }
});

test("a state directory that cannot be made, and a CA file that is not there, end it with the reason", async () => {
  const folder = ownFolder();
  const run = ["run", "--controller", "https://127.0.0.1:1", "--tunnel", "off"];
  const nowhere = start([...run, "--state-dir", "/proc/connector-device"]);
  expect(await nowhere.ended).toBe(78);
  expect(nowhere.output()).toContain('"file":"/proc/connector-device"');
  const untrusting = start([...run, "--state-dir", folder.path, "--ca-file", "/nowhere.pem"]);
  expect(await untrusting.ended).toBe(78);
  expect(untrusting.output()).toContain('"file":"/nowhere.pem"');
});

test("options of the tunnel that cannot be are named", async () => {
  const folder = ownFolder();
  const wrong = [
    { args: ["--interface", "sixteen-letters1"], said: "--interface takes at most 15" },
    { args: ["--interface", "a/b"], said: "--interface takes at most 15" },
    { args: ["--names", "file:resolv.conf"], said: "--names takes auto, resolvectl, none or file:/" },
    { args: ["--tunnel", "maybe"], said: "Choices" },
  ];
  for (const { args, said } of wrong) {
    const device = startDevice(folder.path, "https://127.0.0.1:1", ...args);
    expect(await device.ended).toBe(64);
    expect(device.output()).toContain(said);
  }
});

test.skipIf(process.getuid?.() !== 0)(
  "without CAP_NET_ADMIN: no tunnel and why; where it must be on, that is the end",
  async () => {
    const folder = ownFolder();
    const options = ["run", "--controller", "https://127.0.0.1:1", "--state-dir", join(folder.path, "state")];
    const without = ["setpriv", "--bounding-set", "-net_admin"];
    const must = start([...options, "--tunnel", "on"], without);
    expect(await must.ended).toBe(78);
    expect(must.output()).toContain('"code":"tunnel.not-permitted"');
    const may = start(options, without);
    await until("told", () => may.output().includes('"code":"tunnel.not-permitted"'));
    expect(may.child.exitCode).toBeNull();
    expect((await run("status", folder.path)).output).toContain("tunnel.not-permitted");
  },
);

interface Device {
  wants: string;
}

const script = join(import.meta.dirname, "..", "..", "device", "main.ts");

function startDevice(folder: string, controller: string, ...more: string[]) {
  const flags = ["--state-dir", join(folder, "state"), "--code-file", join(folder, "code")];
  return start(["run", "--controller", controller, "--name", "laptop", "--tunnel", "off", ...flags, ...more]);
}

async function run(command: string, folder: string) {
  const process = start([command, "--state-dir", join(folder, "state")]);
  const code = await process.ended;
  return { code, output: process.output() };
}

function start(args: string[], before: string[] = []) {
  const [file = "", ...rest] = [...before, process.execPath, script, ...args];
  const child = spawn(file, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const keep = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { child, output: () => output, ended };
}
