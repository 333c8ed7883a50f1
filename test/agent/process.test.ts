import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import type { Imds as Emulator } from "../../lab/imds/server.ts";
import { freePort } from "../../lab/ports.ts";
import { start as startImds } from "../lab/imds-fixture.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { scriptedController } from "./controller.ts";
import { configured, ipv4Prefix, ipv6Prefix } from "./fixture.ts";
import { AgentProcess } from "./process.ts";

// One process after the other.
vi.setConfig({ testTimeout: 90_000 });

const otp = "otp-for-tests-0123456789abcdef";
const session = (number: number) => ({
  [`session/00000000-0000-4000-8000-00000000100${number}`]: {
    epoch: 1,
    device: `00000000-0000-4000-8000-00000000500${number}`,
    user: "ana",
    pool: "pool1",
    wireguardKey: "W".repeat(43),
  },
});
const sessionKey = (number: number) => Object.keys(session(number))[0] ?? "";

/** Undefined while nobody reads the pipe. */
function openIfRead(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

function starts(agent: AgentProcess): number {
  return agent.lines.filter(({ msg }) => msg === "the agent starts").length;
}

let folder: ReturnType<typeof temporaryFolder>;
let imds: Emulator;
let controller: Awaited<ReturnType<typeof scriptedController>>;

// Goes when the agents have ended, whose files it holds: what is registered first is done last.
beforeEach(async () => {
  folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  imds = await startImds();
  onTestFinished(() => imds[Symbol.asyncDispose]());
  controller = await scriptedController(otp);
  onTestFinished(() => controller[Symbol.asyncDispose]());
});

function instance(options: { otp?: string; imds?: string; name?: string; uid?: number } = {}): AgentProcess {
  const { name = "one", imds: url = imds.url, ...rest } = options;
  return new AgentProcess(join(folder.path, name), { controller: controller.url, imds: url, ...rest });
}

async function active(): Promise<AgentProcess> {
  imds.assignPrefix(ipv4Prefix);
  imds.assignPrefix(ipv6Prefix);
  controller.want(configured);
  const agent = instance({ otp }).start();
  await agent.reaches("Active");
  return agent;
}

describe("enrolment", () => {
  test("Configured, Online, Active; the password is removed and printed nowhere", async () => {
    const agent = instance().start();
    await agent.shows("otp.missing");
    expect(await agent.status()).toMatchObject({ status: "Configured", instanceId: "i-0e306ccdf94a1b201" });
    writeFileSync(agent.otpFile, otp, { mode: 0o600 });
    await agent.reaches("Online");
    await until("the OTP file is gone", () => !existsSync(agent.otpFile));
    controller.want(configured);
    await agent.shows("prefix.not-assigned");
    imds.assignPrefix(ipv4Prefix);
    imds.assignPrefix(ipv6Prefix);
    expect(await agent.ask("POST", "/v1/verify")).toMatchObject({
      pools: [{ ranges: [{ verified: true }, { verified: true }] }],
    });
    const status = await agent.reaches("Active");
    expect(agent.lines.filter(({ msg }) => /no packet is forwarded/.test(String(msg)))).toMatchObject([
      { level: "warn" },
    ]);
    expect(status).toMatchObject({ name: "aws-us-east-1-con-00001", connector: "aws-one", conditions: [] });
    await until(
      "the controller knows",
      () => (controller.observed.get("instance") as { status?: string })?.status === "Active",
    );
    expect(controller.last("enrol")).toMatchObject({
      ec2InstanceId: "i-0e306ccdf94a1b201",
      managementIp: "172.18.139.4",
    });

    const seen = [
      agent.text,
      JSON.stringify(status),
      ...readdirSync(agent.stateDir).map((name) => readFileSync(join(agent.stateDir, name), "latin1")),
    ];
    expect(seen.filter((text) => text.includes(otp))).toEqual([]);
    expect(agent.text).toContain("the spent OTP was removed");
  });

  test("SIGHUP finds a new password without waiting", async () => {
    const agent = instance({ otp: "wrong-wrong-wrong-wrong" }).start();
    await agent.shows("otp.unknown");
    writeFileSync(agent.otpFile, otp);
    agent.signal("SIGHUP");
    await agent.reaches("Online");
  });

  test("a password that cannot be one is refused here, and not sent", async () => {
    const agent = instance({ otp: "short" }).start();
    expect((await agent.shows("otp.unknown")).text).toContain("does not hold 16 to 128 characters");
    expect(controller.last("enrol")).toBeUndefined();
    expect(agent.text).not.toContain('short"');
  });

  test("a password that cannot be read is named, and read once it can be", async () => {
    const agent = instance();
    mkdirSync(agent.otpFile);
    agent.start();
    expect((await agent.shows("otp.unreadable")).text).toContain("not a file");
    rmdirSync(agent.otpFile);
    writeFileSync(agent.otpFile, otp, { mode: 0o600 });
    await agent.reaches("Online");
  });

  test.skipIf(process.getuid?.() !== 0)(
    "a password that is root's is named, and read once it is the agent's (skipped without root)",
    async () => {
      const nobody = 65_534;
      chmodSync(folder.path, 0o755);
      const agent = instance({ otp, uid: nobody }).start();
      expect((await agent.shows("otp.unreadable")).text).toContain("EACCES");
      expect(controller.connections).toBe(0);
      chownSync(agent.otpFile, nobody, nobody);
      await agent.reaches("Online");
    },
  );

  describe("a metadata service that is not up yet at boot is waited for", () => {
    test("where it takes the connection and does not answer", async () => {
      imds.fault({ kind: "blackHole" });
      const agent = instance({ otp }).start();
      await agent.shows("enrol.document-missing");
      expect(controller.connections).toBe(0);
      imds.clearFault("blackHole");
      await agent.reaches("Online");
    });

    test("where nobody listens", async () => {
      const port = await freePort();
      const agent = instance({ otp, imds: `http://127.0.0.1:${port}` }).start();
      await agent.shows("enrol.document-missing");
      expect(controller.connections).toBe(0);
      await using _ = await startImds({ port });
      await agent.reaches("Online");
    });
  });

  test("an answer that was lost on the way is asked for again, with the same key", async () => {
    controller.dropsAfterEnrolling = true;
    const agent = instance({ otp }).start();
    await agent.reaches("Online");
    expect(controller.connections).toBe(2);
    expect(
      new Set(
        controller.heard.flatMap((m) => (m.type === "hello" || m.type === "enrol" ? [m.identityKey] : [])),
      ).size,
    ).toBe(1);
  });

  test("killed between spending and saving, the next process gets the same identity", async () => {
    const agent = instance({ otp });
    controller.refuses = "link.throttled";
    agent.start();
    await until("it tried", () => controller.connections > 0);
    const saved = readFileSync(join(agent.stateDir, "identity.json"), "utf8");
    controller.refuses = undefined;
    await agent.reaches("Online");
    agent.signal("SIGKILL");
    await agent.exited();
    writeFileSync(join(agent.stateDir, "identity.json"), saved, { mode: 0o600 });
    writeFileSync(agent.otpFile, otp, { mode: 0o600 });
    agent.start();
    await agent.reaches("Online");
    await until("the enrolment is saved", () =>
      readFileSync(join(agent.stateDir, "identity.json"), "utf8").includes("aws-one"),
    );
  });
});

describe("restart", () => {
  test("SIGTERM ends it cleanly and without a goodbye", async () => {
    const agent = await active();
    agent.signal("SIGTERM");
    expect(await agent.exited()).toBe(0);
    expect(controller.last("goodbye")).toBeUndefined();
    expect(existsSync(agent.socket)).toBe(false);
  });

  test("SIGKILL: Active again, with the same sessions, addresses and name", async () => {
    const agent = await active();
    controller.want(session(1));
    const granted = await until("granted", () => controller.observed.get(sessionKey(1)));
    agent.signal("SIGKILL");
    await agent.exited();
    agent.start();
    await agent.reaches("Active");
    await until(
      "reported again",
      () => controller.connections === 2 && controller.observed.get(sessionKey(1)),
    );
    expect(controller.observed.get(sessionKey(1))).toEqual(granted);
    expect(controller.last("hello")).toBeDefined();
  });

  test("with the controller and the metadata service away it serves from disk", async () => {
    const agent = await active();
    controller.want(session(1));
    await until("granted", () => controller.observed.get(sessionKey(1)));
    agent.signal("SIGKILL");
    await agent.exited();
    imds.fault({ kind: "blackHole" });
    await controller[Symbol.asyncDispose]();
    agent.start();
    expect(await agent.reaches("Offline")).toMatchObject({ sessions: 1 });
    await until("its device counts", async () => (await agent.status())?.activeAgents === 1);
    await agent.shows("link.unreachable");
    expect(await agent.ask("GET", "/v1/prefixes")).toMatchObject([
      { prefix: ipv4Prefix, imds: "present", dataPath: "routed", verdict: "ok" },
      { prefix: ipv6Prefix, imds: "present", dataPath: "routed", verdict: "ok" },
    ]);
    controller = await scriptedController(otp);
  });

  test("a drain by hand survives it", async () => {
    const agent = await active();
    expect(await agent.ask("POST", "/v1/drain")).toMatchObject({ status: "Draining", drain: ["cli"] });
    agent.signal("SIGKILL");
    await agent.exited();
    agent.start();
    await agent.reaches("Draining");
    expect(await agent.ask("POST", "/v1/resume")).toMatchObject({ drain: [] });
    await agent.reaches("Active");
  });
});

describe("what cannot be had is named with its code, and ends the process", () => {
  test.each<[name: string, break_: (agent: AgentProcess) => void, code: string]>([
    ["a state directory that is a file", (agent) => writeFileSync(agent.stateDir, ""), "store.failing"],
    ["a socket's place that is a file", (agent) => writeFileSync(agent.socket, ""), "socket.unusable"],
  ])("%s", async (_name, break_, code) => {
    const agent = instance({ otp });
    break_(agent);
    agent.start({ errors: "expected" });
    expect(await agent.exited()).toBe(1);
    expect(agent.lines.at(-1)).toMatchObject({ level: "error", code, hint: expect.any(String) });
    expect(agent.text.split("\n").filter((line) => line !== "" && !line.startsWith("{"))).toEqual([]);
  });
});

test("a second process on the same state directory ends, and the first does not notice", async () => {
  const agent = await active();
  const second = new AgentProcess(join(folder.path, "two"), { controller: controller.url, imds: imds.url });
  Object.assign(second, { stateDir: agent.stateDir });
  second.start({ errors: "expected" });
  expect(await second.exited()).toBe(1);
  expect(second.lines.at(-1)).toMatchObject({ level: "error", code: "store.locked" });
  expect(await agent.status()).toMatchObject({ status: "Active" });
});

test("a copied disk makes an identity of its own, and keeps the other's aside", async () => {
  const agent = await active();
  controller.want(session(1));
  await until("granted", () => controller.observed.get(sessionKey(1)));
  agent.signal("SIGKILL");
  await agent.exited();
  await using other = await startImds({
    instance: instanceNumbered(1, { instanceId: "i-0e306ccdf94a1b299" }),
  });
  Object.assign(agent.env, { AWS_EC2_METADATA_SERVICE_ENDPOINT: other.url });
  const hellos = controller.heard.length;
  agent.start();
  const condition = await agent.shows("identity.cloned");
  expect(condition.text).toContain("copied from i-0e306ccdf94a1b201, this instance i-0e306ccdf94a1b299");
  expect(await agent.status()).toMatchObject({
    status: "Configured",
    sessions: 0,
    instanceId: "i-0e306ccdf94a1b299",
  });
  expect(readdirSync(agent.stateDir)).toEqual(
    expect.arrayContaining(["agent.db.of-i-0e306ccdf94a1b201", "identity.json.of-i-0e306ccdf94a1b201"]),
  );
  expect(controller.heard.slice(hellos).filter(({ type }) => type === "hello")).toEqual([]);
});

describe("parameters", () => {
  test("that are wrong: exit code 78, and every problem", async () => {
    const yaml = "controler: https://c.example\nip: 10.0.0.300\nwireguardPort: yes\n";
    const agent = new AgentProcess(folder.path, { controller: "", imds: imds.url, yaml }).start({
      errors: "expected",
    });
    expect(await agent.exited()).toBe(78);
    expect(agent.lines.map(({ level, code, field }) => [level, code, field])).toEqual(
      ["controler", "controller", "ip", "gateway", "wireguardPort"].map((field) => [
        "error",
        "parameters.invalid",
        field,
      ]),
    );
  });

  test("that change are taken over with SIGHUP; wrong ones are named and left alone", async () => {
    const agent = await active();
    const before = readFileSync(agent.parametersFile, "utf8");
    writeFileSync(agent.parametersFile, before.replace("gateway: 172.18.128.1", "gateway: nonsense"));
    agent.signal("SIGHUP");
    await until("named", () => agent.lines.some(({ field }) => field === "gateway"));
    expect(await agent.status()).toMatchObject({ status: "Active", gateway: "172.18.128.1" });
    writeFileSync(agent.parametersFile, `${before}publicAddress: 203.0.113.7\n`);
    agent.signal("SIGHUP");
    await until(
      "told",
      () => (controller.observed.get("instance") as { endpoint?: string })?.endpoint === "203.0.113.7:51820",
    );
    await agent.reaches("Active");
  });

  describe("that are read while somebody writes them", () => {
    /** A file whose readers wait until the test writes. Each reading takes one text: the next one finds another pipe. */
    const slowly = (path: string) => {
      const renew = () => {
        rmSync(path, { force: true });
        execFileSync("mkfifo", [path]);
      };
      renew();
      return async (text: string, meanwhile = () => {}) => {
        const pipe = await until("a reader", () => openIfRead(path));
        renew();
        meanwhile();
        writeSync(pipe, text);
        closeSync(pipe);
      };
    };

    const online = async () => {
      const agent = instance({ otp });
      const text = readFileSync(agent.parametersFile, "utf8");
      const write = slowly(agent.parametersFile);
      agent.start();
      await write(text);
      await agent.reaches("Online");
      return { agent, text, write };
    };

    test("are taken as they were judged, and not read a second time", async () => {
      const { agent, text, write } = await online();
      agent.signal("SIGHUP");
      await write(`${text}publicAddress: 203.0.113.7\n`);
      await until("begun anew", () => starts(agent) === 2);
      await agent.reaches("Online");
    });

    test("are read again after a SIGHUP that comes while one agent gives way to the next", async () => {
      const { agent, text, write } = await online();
      agent.signal("SIGHUP");
      await write(`${text}publicAddress: 203.0.113.7\n`, () => agent.signal("SIGHUP"));
      await write(`${text}publicAddress: 203.0.113.8\n`);
      await until("begun anew, twice", () => starts(agent) === 3);
      await agent.reaches("Online");
    });
  });

  test("of another instance are named, with the right ones", async () => {
    const agent = instance({ otp });
    writeFileSync(agent.parametersFile, readFileSync(agent.parametersFile, "utf8").replace("139.4", "139.5"));
    agent.start();
    expect((await agent.shows("parameters.ip-mismatch")).text).toContain(
      "configured 172.18.139.5, right 172.18.139.4",
    );
    expect(controller.connections).toBe(0);
  });

  test("with a gateway outside the subnet are named, with the right one and the subnet", async () => {
    const agent = instance({ otp });
    const text = readFileSync(agent.parametersFile, "utf8");
    writeFileSync(agent.parametersFile, text.replace(/(gateway\W+)172\.18\.128\.1/, "$1192.168.0.1"));
    agent.start();
    expect((await agent.shows("parameters.gateway-mismatch")).text).toMatch(
      /configured 192\.168\.0\.1, right 172\.18\.128\.1, subnet 172\.18\.128\.0\/20/,
    );
    expect(controller.connections).toBe(0);
  });
});

describe("the end of an instance's service", () => {
  const instanceStatus = () => (controller.observed.get("instance") as { status?: string })?.status;

  async function serving(): Promise<AgentProcess> {
    const agent = await active();
    controller.want(session(1));
    await until("granted", () => controller.observed.get(sessionKey(1)));
    return agent;
  }

  test("AWS's notices drain it within seconds; silence ends none of them, and a word does, over restarts too", async () => {
    imds.assignPrefix(ipv4Prefix);
    imds.assignPrefix(ipv6Prefix);
    imds.asgState("Terminated");
    imds.rebalance(true);
    controller.want({ ...configured, ...session(1) });
    const agent = instance({ otp }).start();
    expect(await agent.reaches("Draining")).toMatchObject({ drain: ["autoscaling"] });
    await agent.shows("notice.rebalance");
    // Whom it is told it serves, also while it drains.
    await until("granted", () => controller.observed.get(sessionKey(1)));
    imds.spotNotice("terminate");
    expect((await agent.shows("notice.spot")).text).toMatch(/action terminate, at 20/);
    const reasons = async () => (await agent.status())?.drain.toSorted().join();
    expect(await reasons()).toBe("autoscaling,spot");
    imds.fault({ kind: "status", status: 503, path: /spot|autoscaling/ });
    imds.spotNotice(undefined);
    imds.asgState("InService");
    const asked = () => imds.requests.filter(({ target }) => /instance-action/.test(target)).length;
    const before = asked();
    await until("asked again", () => asked() > before);
    expect(await reasons()).toBe("autoscaling,spot");
    agent.signal("SIGKILL");
    await agent.exited();
    agent.start();
    await agent.reaches("Draining");
    expect(await reasons()).toBe("autoscaling,spot");
    agent.signal("SIGKILL");
    await agent.exited();
    imds.clearFault();
    agent.start();
    expect(await agent.reaches("Active")).toMatchObject({ drain: [] });
    expect(controller.observed.get(sessionKey(1))).toMatchObject({ outcome: "granted", epoch: 1 });
    expect(controller.last("goodbye")).toBeUndefined();
  });

  test("`connector leave` drains, and says goodbye when the controller has moved everybody", async () => {
    const agent = await serving();
    const left = cli(agent, "leave", "--deadline", "30");
    await until("the controller knows", () => instanceStatus() === "Draining");
    expect(controller.last("goodbye")).toBeUndefined();
    controller.want({ [sessionKey(1)]: undefined });
    expect(await left).toMatchObject({ code: 0, out: expect.stringContaining("left the group") });
    await until("goodbye", () => controller.last("goodbye"));
    expect(controller.last("goodbye")).toEqual({ type: "goodbye", reason: "shutdown" });
    expect(await cli(agent, "status")).toMatchObject({
      code: 1,
      out: expect.stringContaining("left the group"),
    });
    // It stays away until it is started again.
    const { connections } = controller;
    agent.signal("SIGTERM");
    expect(await agent.exited()).toBe(0);
    expect(controller.connections).toBe(connections);
    agent.start();
    await agent.reaches("Active");
  });

  test("SIGQUIT leaves and ends; SIGTERM in between ends it at once, with the goodbye", async () => {
    const agent = await serving();
    agent.signal("SIGQUIT");
    await until("the controller knows", () => instanceStatus() === "Draining");
    controller.want({ [sessionKey(1)]: undefined });
    expect(await agent.exited()).toBe(0);
    await until("goodbye", () => controller.last("goodbye"));
    expect(controller.last("goodbye")).toEqual({ type: "goodbye", reason: "shutdown" });
    controller.heard.length = 0;
    controller.want(session(2));
    agent.start();
    // What it says now, and not what the one before it said last.
    await until("the controller knows", () => instanceStatus() === "Active");
    agent.signal("SIGQUIT");
    await until("the controller knows", () => instanceStatus() === "Draining");
    expect(controller.last("goodbye")).toBeUndefined();
    agent.signal("SIGTERM");
    expect(await agent.exited()).toBe(0);
    await until("goodbye", () => controller.last("goodbye"));
  });
});

function cli(agent: AgentProcess, ...args: string[]): Promise<{ code: number | null; out: string }> {
  const main = join(import.meta.dirname, "../../agent/cli/main.ts");
  const child = spawn(process.execPath, [main, ...args, "--socket", agent.socket]);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
  }
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out })));
}
