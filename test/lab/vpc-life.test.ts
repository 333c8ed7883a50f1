import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { must } from "../../lab/vpc/commands.ts";
import { listNamespaces } from "../../lab/vpc/namespaces.ts";
import { vpcObstacle } from "../../lab/vpc/obstacle.ts";
import { createVpc } from "../../lab/vpc/vpc.ts";
import { processIds, programOf, readOfProcess, startOf } from "../../protocol/node/processes.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { imdsOf, obstacle, seen, title } from "./vpc-fixture.ts";

describe.skipIf(obstacle !== undefined)(title("the end of a VPC"), () => {
  test("nothing is left of it, and the machine's own network is as it was", async () => {
    using folder = temporaryFolder();
    const before = await machineNetwork();
    const vpc = await createVpc({ name: "gone", folder: folder.path });
    const { host } = await vpc.addApplication("web", { kind: "web", ports: [80] });
    await using imds = await imdsOf(1);
    const instance = await vpc.addInstance("agent-1", imds);
    expect((await instance.ask({ kind: "http", url: "http://172.18.16.10/" })).map(seen)).toEqual([
      "172.18.139.4",
    ]);
    expect(await machineNetwork()).toEqual(before);
    await vpc[Symbol.asyncDispose]();
    expect(await namespacesLike(host.namespace)).toEqual([]);
    expect(await machineNetwork()).toEqual(before);
  });

  test("a lab that is interrupted removes it", async () => {
    using folder = temporaryFolder();
    const { child, namespace } = await startLab("interrupted", folder.path);
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(await namespacesLike(namespace)).toEqual([]);
  });

  test("a lab that is killed takes with it what runs in its namespaces, strays too, and these; nothing else", async () => {
    using folder = temporaryFolder();
    const dead = await startLab("dead", join(folder.path, "dead"));
    const alive = await startLab("alive", join(folder.path, "alive"));
    const pids = await pidsIn(dead.namespace);
    expect(pids).toHaveLength(2);
    dead.child.kill("SIGKILL");
    await until("no namespace", async () => (await namespacesLike(dead.namespace)).length === 0);
    for (const pid of pids) await until("its end", () => startOf(pid) === undefined);
    expect(await pidsIn(alive.namespace)).toHaveLength(2);
    alive.child.kill("SIGINT");
    await once(alive.child, "exit");
  });

  test("what is left when nobody could clean up is removed by the next", async () => {
    using folder = temporaryFolder();
    const dead = await startLab("dead", join(folder.path, "dead"));
    const pids = await pidsIn(dead.namespace);
    const strays = pids.filter((pid) => programOf(pid) === "sleep");
    expect(strays).toHaveLength(1);
    await killJanitor(dead.namespace);
    dead.child.kill("SIGKILL");
    // The application dies with its lab, by the kernel's hand; the other one has no such tie.
    const tied = pids.filter((pid) => !strays.includes(pid));
    await until("the end of the application", () => tied.every((pid) => startOf(pid) === undefined));

    // Or by that of another test process, if one starts just now.
    await using vpc = await createVpc({ name: "next", folder: join(folder.path, "next") });
    await until("no namespace", async () => (await namespacesLike(dead.namespace)).length === 0);
    await until("the end of the stray", () => strays.every((pid) => startOf(pid) === undefined));
    expect(vpc).toBeDefined();
  });

  test("two at once have the same addresses and never meet", async () => {
    using folder = temporaryFolder();
    await using imds = await imdsOf(1);
    await using left = await createVpc({ name: "left", folder: join(folder.path, "left") });
    await using right = await createVpc({ name: "right", folder: join(folder.path, "right") });
    await expect(createVpc({ name: "left", folder: folder.path })).rejects.toThrow("in use");
    const [instance, web] = await Promise.all([
      left.addInstance("agent-1", imds),
      right.addApplication("web", { kind: "web", ports: [80] }),
      left.addApplication("web", { kind: "web", ports: [81] }),
    ]);
    const { ipv4 } = web.host.addresses;
    const answers = await instance.ask(
      { kind: "http", url: `http://${ipv4}:80/` },
      { kind: "http", url: `http://${ipv4}:81/` },
    );
    expect(answers.map(seen)).toEqual(["ECONNREFUSED", "172.18.139.4"]);
  });
});

test("without root there is a reason, in one line", async () => {
  const module = join(import.meta.dirname, "..", "..", "lab", "vpc", "obstacle.ts");
  const script = `import { vpcObstacle } from ${JSON.stringify(module)}; process.stdout.write(await vpcObstacle() ?? "none");`;
  const asRoot = process.getuid?.() === 0;
  const drop = "process.setuid(65534);";
  const node = spawn(process.execPath, [
    "--input-type=module",
    "-e",
    script.replace(";", `; ${asRoot ? drop : ""}`),
  ]);
  let said = "";
  node.stdout.on("data", (chunk) => {
    said += chunk;
  });
  await once(node, "close");
  expect(said).toBe("network namespaces need root");
  expect(await vpcObstacle()).toBe(obstacle);
});

async function startLab(name: string, folder: string): Promise<{ child: ChildProcess; namespace: string }> {
  const script = join(import.meta.dirname, "vpc-child.ts");
  const child = spawn(process.execPath, [script, name, folder], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = await once(child.stdout, "data");
  return { child, namespace: String(said).trim() };
}

/** What there is of the VPC that a namespace belongs to. */
async function namespacesLike(namespace: string): Promise<string[]> {
  const vpc = namespace.replace(/[^.]+$/, "");
  return (await listNamespaces()).filter((name) => name.startsWith(vpc));
}

/** The process that waits for the end of a lab: its last argument is how the lab's namespaces are called. */
async function killJanitor(namespace: string): Promise<void> {
  const prefix = namespace.replace(/[^.]+$/, "");
  const found = processIds().filter((pid) => commandLine(pid).at(-1) === prefix);
  expect(found).toHaveLength(1);
  for (const pid of found) process.kill(pid, "SIGKILL");
}

function commandLine(pid: number): string[] {
  return readOfProcess(pid, "cmdline")?.split("\0").filter(Boolean) ?? [];
}

async function pidsIn(namespace: string): Promise<number[]> {
  return (await must(["ip", "netns", "pids", namespace])).split("\n").filter(Boolean).map(Number);
}

/** Without counters, and without how long what was learnt from DHCP or a router is still good. */
async function machineNetwork(): Promise<string[]> {
  const commands = [
    "ip -o link",
    "ip -o address",
    "ip rule",
    "ip -6 rule",
    "ip route show table all",
    "nft -s list ruleset",
  ];
  const sysctls = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding";
  const shown = await Promise.all([...commands, sysctls].map((command) => must(command.split(" "))));
  return shown.map((text) => text.replace(/(valid_lft|preferred_lft|expires) \d+sec/g, "$1"));
}
