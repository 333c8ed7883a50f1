import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { application } from "../datapath/tunnel-hosts.ts";
import { variants } from "../datapath/wireguard-hosts.ts";
import { noNamespaces, pingSteadily, pings, reaches, runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { deviceWorld } from "./tunnel-world.ts";

/** Why there is no WireGuard in this kernel: then it takes wireguard-go. */
const kernel = variants.find(({ title }) => title === "kernel")?.missing;

type World = Awaited<ReturnType<typeof deviceWorld>>;

// One process after the other.
vi.setConfig({ testTimeout: 90_000 });

const title = noNamespaces === undefined ? "a device's process" : `a device's process (${noNamespaces})`;

describe.skipIf(noNamespaces)(title, () => {
  test("brings its tunnel up, is killed and started again without a controller, and nothing is lost", async () => {
    const world = await deviceWorld();
    const { namespace, controller } = world;
    const first = await attached(world);
    expect(await reaches(namespace, application)).toBe(true);
    expect(readFileSync(world.resolvConf, "utf8")).toMatch(
      /nameserver 169\.254\.77\.53\n(.*\n)*nameserver 192/,
    );
    const pinging = pingSteadily(namespace, application);
    await pinging.more(10);
    first.child.kill("SIGKILL");
    await first.ended;
    expect(await world.start("status").ended).toBe(0);
    // Dialled in vain: what is on disk must do.
    await controller[Symbol.asyncDispose]();
    const second = world.run();
    await until("adopted and alive", () => second.output().includes('"verdict":"alive"'));
    await pinging.more(10);
    const { sent, lost } = await pinging.stop();
    console.log(`killed and started again: ${lost} of ${sent} echoes at 20 ms lost`);
    expect(lost).toBe(0);
    second.child.kill("SIGTERM");
    expect(await second.ended).toBe(0);
    expect(await reaches(namespace, application)).toBe(true);
  });

  test("logout takes the tunnel down, whether the device runs or has left it behind", async () => {
    const world = await deviceWorld();
    const device = await attached(world);
    const shown = world.start("status");
    expect(await shown.ended).toBe(0);
    expect(shown.output()).toMatch(/tunnel +ct\w+ \(userspace|kernel\)\n.* alive since .*\n.*handshake \d+/);
    expect(await world.start("logout").ended).toBe(0);
    await until("gone", async () => !(await hasInterface(world)));
    await until("restored", () => readFileSync(world.resolvConf, "utf8") === "nameserver 192.0.2.53\n");
    await until("taken back", () => world.controller.reported("path") === undefined);

    await world.start("login").ended;
    await until("in", () => (world.controller.reported("device") as { wants: string }).wants === "attached");
    world.controller.attaches(world.first.attachment);
    await until("up again", () => verdictOf(world) === "alive");
    device.child.kill("SIGTERM");
    await device.ended;
    expect(await hasInterface(world)).toBe(true);
    expect(await world.start("logout").ended).toBe(0);
    expect(await hasInterface(world)).toBe(false);
    expect(readFileSync(world.resolvConf, "utf8")).toBe("nameserver 192.0.2.53\n");
  });

  test("takes a new attachment when it works, and reports the path that carries until then", async () => {
    const world = await deviceWorld();
    const { controller, namespace, first, second } = world;
    const device = await attached(world);
    const pinging = pingSteadily(namespace, "169.254.77.53");
    await pinging.more(5);
    controller.attaches(second.attachment);
    await until("taken", () => device.output().includes('"msg":"moved"'));
    await pinging.more(30);
    expect(controller.reported("path")).toMatchObject({ epoch: 1, verdict: "alive" });
    // Whoever hears the new epoch may take the old place away.
    expect(controller.reported("held")).toMatchObject({ epoch: 1, instance: first.attachment.instance });
    expect((await pinging.stop()).lost).toBe(0);
    await second.admit();
    await until("moved", () => epochOf(world) === 2 && verdictOf(world) === "alive");
    expect(controller.reported("path")).toMatchObject({
      session: second.attachment.session,
      instance: second.attachment.instance,
    });
    expect(controller.reported("held")).toMatchObject({ epoch: 2, instance: second.attachment.instance });
    expect(await reaches(namespace, application)).toBe(true);
    // An instance that dies.
    await runIn(second.host.namespace, "ip", "link", "set", "dev", second.host.name, "down");
    const begunMs = performance.now();
    await until("dead", () => verdictOf(world) === "dead");
    console.log(`dead path reported after ${(performance.now() - begunMs).toFixed(0)} ms`);
    // 3.0 s where nothing is sent, and what a busy machine takes.
    expect(performance.now() - begunMs).toBeLessThan(4_500);
    const shown = world.start("status");
    expect(await shown.ended).toBe(1);
    expect(shown.output()).toMatch(/dead since/);
    controller.attaches({ ...first.attachment, epoch: 3 });
    await until("elsewhere", () => epochOf(world) === 3 && verdictOf(world) === "alive");
  });

  test("an instance that has forgotten the keys is asked afresh within four seconds", async () => {
    const world = await deviceWorld();
    await attached(world);
    await world.first.host.set([], 51_820);
    await world.first.admit();
    const begunMs = performance.now();
    await until("traffic", () => pings(world.namespace, application, "-W", "0.1"), 15_000);
    console.log(`keys forgotten: traffic again after ${(performance.now() - begunMs).toFixed(0)} ms`);
    // WireGuard by itself needs fifteen seconds.
    expect(performance.now() - begunMs).toBeLessThan(6_000);
  });

  test("a name that is taken is told, left alone, and tried again", async () => {
    const world = await deviceWorld();
    const { namespace, name } = world;
    await runIn(namespace, "ip", "link", "add", "dev", name, "type", "veth");
    await world.first.admit();
    const device = world.run();
    await until("joined", () => world.controller.reported("device"));
    world.controller.attaches(world.first.attachment);
    await until("told", () => device.output().includes("tunnel.name-taken"));
    const shown = world.start("status");
    expect(await shown.ended).toBe(1);
    expect(shown.output()).toContain("tunnel.name-taken");
    await runIn(namespace, "ip", "link", "delete", "dev", name);
    await until("up", () => verdictOf(world) === "alive", 20_000);
    expect(device.child.exitCode).toBeNull();
  });

  test.skipIf(kernel === undefined)(
    "without wireguard-go it says so, and goes on when that is there",
    async () => {
      const world = await deviceWorld();
      const programs = join(world.folder, "bin");
      mkdirSync(programs);
      const found = (name: string) => execFileSync("which", [name], { encoding: "utf8" }).trim();
      for (const name of ["ip", "ping", "cat"]) symlinkSync(found(name), join(programs, name));
      world.environment.PATH = programs;
      await world.first.admit();
      const device = world.run();
      await until("joined", () => world.controller.reported("device"));
      world.controller.attaches(world.first.attachment);
      await until("told", () => device.output().includes("wireguard-go is not installed"));
      expect(device.output()).toContain('"code":"tunnel.failing"');
      expect(world.controller.reported("path")).toBeUndefined();
      symlinkSync(found("wireguard-go"), join(programs, "wireguard-go"));
      await until("up", () => verdictOf(world) === "alive", 20_000);
      expect(device.output()).toContain("the tunnel is as it should be again");
    },
  );
});

/** A device that runs, attached to the first instance, whose path is alive. */
async function attached(world: World) {
  await world.first.admit();
  const device = world.run();
  await until("joined", () => world.controller.reported("device"));
  world.controller.attaches(world.first.attachment);
  await until("alive", () => verdictOf(world) === "alive").catch((error) => {
    throw new Error(`${error.message}\n${device.output()}`);
  });
  return device;
}

async function hasInterface({ namespace, name }: World): Promise<boolean> {
  return (await runIn(namespace, "ip", "-json", "link")).includes(`"${name}"`);
}

function verdictOf({ controller }: World): string | undefined {
  return (controller.reported("path") as { verdict: string } | undefined)?.verdict;
}

function epochOf({ controller }: World): number | undefined {
  return (controller.reported("path") as { epoch: number } | undefined)?.epoch;
}
