import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { openKeys } from "../../device/adapters/keys-file.ts";
import { TunnelHost } from "../../device/adapters/tunnel.ts";
import { noTunnel } from "../../device/core/tunnel-plan.ts";
import { listenInside } from "../../lab/vpc/sockets.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import { tunnelInstance } from "../datapath/tunnel-hosts.ts";
import { must } from "../datapath/wireguard-hosts.ts";
import { temporaryFolder } from "../support/folder.ts";
import { testLog } from "../support/log.ts";
import { insideOf, interfaceName, TestHosts } from "../support/namespaces.ts";
import { scriptedController } from "./controller.ts";

const script = join(import.meta.dirname, "..", "..", "device", "main.ts");

/** The real device process on a host of its own, with cables to two instances, and a controller the test plays. */
export async function deviceWorld() {
  const hosts = new TestHosts();
  onTestFinished(() => hosts[Symbol.dispose]());
  const { log } = testLog();
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const namespace = hosts.add("device");
  const inside = insideOf(namespace);
  const resolvConf = `/etc/netns/${namespace}/resolv.conf`;
  mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
  writeFileSync(resolvConf, "nameserver 192.0.2.53\n");
  onTestFinished(() => rmSync(`/etc/netns/${namespace}`, { recursive: true, force: true }));
  const listening = await listenInside([...inside, process.execPath]);
  const controller = await scriptedController(listening);
  onTestFinished(() => controller[Symbol.asyncDispose]());

  const stateFolder = join(folder.path, "state");
  mkdirSync(stateFolder);
  const key = openKeys(stateFolder).wireguard;
  writeFileSync(join(folder.path, "code"), "join-code-0123456789");
  const name = interfaceName();
  const running: { child: ChildProcess; ended: Promise<unknown> }[] = [];
  onTestFinished(async () => {
    for (const { child } of running) child.kill("SIGKILL");
    // Also the programs that they ran: none of them makes anew what is taken down here.
    await Promise.all(running.map(({ ended }) => ended));
    using host = new TunnelHost({ name, inside, key, names: { kind: "none" }, log });
    must(await host.apply(noTunnel, undefined));
  });

  const environment: Record<string, string | undefined> = { ...process.env };
  const start = (command: string, ...args: string[]) => {
    const all = [...inside.slice(1), process.execPath, script, command, "--state-dir", stateFolder, ...args];
    const child = spawn("ip", all, { stdio: ["ignore", "pipe", "pipe"], env: environment });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    running.push({ child, ended });
    return { child, ended, output: () => output };
  };
  const device = { namespace, name, key };
  return {
    ...{ controller, namespace, name, resolvConf, start, environment, folder: folder.path },
    run: (...args: string[]) => {
      const link = ["--controller", controller.url, "--code-file", join(folder.path, "code")];
      const tunnel = ["--interface", name, "--names", "file:/etc/resolv.conf"];
      return start("run", ...link, ...tunnel, ...args);
    },
    first: await tunnelInstance(hosts, 1, device, log, instanceEnd),
    second: await tunnelInstance(hosts, 2, device, log, instanceEnd),
  };
}
