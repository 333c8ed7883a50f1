import { join } from "node:path";
import { onTestFinished } from "vitest";
import { createVpc } from "../../lab/vpc/vpc.ts";
import { type KeyPair, makeWireguardKey } from "../../protocol/node/keys.ts";
import { imdsOf, shell } from "../lab/vpc-fixture.ts";
import { DataPathChild, type PlanText } from "../support/datapath.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Tools } from "../support/tools.ts";

/** An instance of a VPC, and data paths in processes on it. */
export async function instance(name: string) {
  const temporary = temporaryFolder();
  const vpc = await createVpc({ name, folder: temporary.path });
  const imds = await imdsOf(1);
  onTestFinished(async () => {
    await vpc[Symbol.asyncDispose]();
    await imds[Symbol.asyncDispose]();
    temporary[Symbol.dispose]();
  });
  const host = await vpc.addInstance("agent-1", imds);
  const tools = new Tools(temporary.path);
  const key = makeWireguardKey();
  const start = () => {
    const folder = join(temporary.path, "datapath");
    const command = host.command(["/usr/bin/env", `PATH=${tools.path}`, process.execPath]);
    const child = new DataPathChild({ command, folder, key });
    onTestFinished(() => child.kill());
    return child;
  };
  return { host, tools, start, run: (script: string) => shell(host, script) };
}

const keys: readonly KeyPair[] = Array.from({ length: 4 }, () => makeWireguardKey());

export function planOf(sessions: number, over: Partial<PlanText> = {}): PlanText {
  return {
    routes: ["172.18.140.0/28", "2600:1f18:2a89:703:275::/80"],
    peers: Array.from({ length: sessions }, (_, i) => ({
      session: `session-${i}`,
      wireguardKey: (keys[i] ?? makeWireguardKey()).publicKey,
      group: "staff",
      ipv4: `172.18.${140 + (i >> 8)}.${i & 255}`,
      ipv6: `2600:1f18:2a89:703:275::${(i + 1).toString(16)}`,
    })),
    resources: [
      ["1", service("web", { cidr: "10.0.0.0/8" })],
      ["2", service("apps", { domain: "*.apps.corp.internal" })],
    ],
    dns: { primary: "172.18.0.2" },
    ...over,
  };
}

function service(name: string, destination: { cidr: string } | { domain: string }) {
  const ports = [{ from: 80, to: 80 }];
  return { name, destination, protocol: "tcp" as const, ports, serverInitiated: false, groups: ["staff"] };
}
