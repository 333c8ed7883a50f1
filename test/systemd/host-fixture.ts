import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { InstanceView } from "../../controller/core/views.ts";
import type { Machine } from "../../lab/instance.ts";
import type { Lab } from "../../lab/lab.ts";
import { makePackages } from "../../scripts/package/make.ts";
import { type Format, products } from "../../scripts/package/products.ts";
import { releaseOf } from "../../scripts/package/release.ts";
import { until } from "../support/until.ts";
import type { BootedHost } from "./booted-host.ts";

/** The agent's package for this machine as `first` and `second` of the format, which differ in their revision only. */
export async function makeTwo(out: string, format: Format): Promise<void> {
  await makeOne("connector", format, 1, join(out, `first.${format}`));
  await makeOne("connector", format, 2, join(out, `second.${format}`));
}

export async function makeOne(name: string, format: Format, revision: number, to: string): Promise<void> {
  const folder = `${to}.made`;
  mkdirSync(folder, { recursive: true });
  const made = await makePackages({
    products: products.filter((product) => product.name === name),
    architectures: [process.arch === "arm64" ? "arm64" : "amd64"],
    formats: [format],
    release: releaseOf(revision),
    level: 0,
    out: folder,
  });
  const [built] = made.filter((path) => path.endsWith(`.${format}`));
  if (built === undefined) throw new Error(`no .${format}`);
  renameSync(built, to);
  rmSync(folder, { recursive: true });
}

/** Leaves parameters where cloud-init would. */
export async function writeParameters(
  host: BootedHost,
  parameters: Readonly<Record<string, string>>,
): Promise<void> {
  const lines = Object.entries(parameters).map(([name, value]) => `${name}: "${value}"`);
  await host.run(`install -d -m 0700 /run/connector-boot /run/credstore
    umask 077; cat >/run/connector-boot/enroll.yaml <<'END'\n${lines.join("\n")}\nEND`);
}

/** What `connector.service` says of itself. */
async function statusText(host: BootedHost): Promise<string> {
  return (await host.unit("connector", "StatusText")).StatusText;
}

export async function untilStatus(host: BootedHost, what: RegExp, deadlineMs = 30_000): Promise<void> {
  let text = "";
  try {
    await until(
      String(what),
      async () => {
        text = await statusText(host);
        return what.test(text);
      },
      deadlineMs,
    );
  } catch (error) {
    throw new Error(`${text}\n${await journal(host)}`, { cause: error });
  }
}

export async function journal(host: BootedHost): Promise<string> {
  return host.run("journalctl --no-pager --quiet --unit connector --output cat | tail -40");
}

export async function mainPid(host: BootedHost, unit = "connector"): Promise<number> {
  return Number((await host.unit(unit, "MainPID")).MainPID);
}

/** Once it has enrolled, gives it the pools that AWS assigned. */
export async function configurePools(lab: Lab, { plan, ec2 }: Machine): Promise<InstanceView> {
  const { name } = await until("it has enrolled", () => viewOf(lab, ec2.instanceId), 40_000);
  return lab.controller.admin.call("instance.pools.set", {
    params: { instance: name },
    body: plan.pools as Record<string, { ipv4: string[]; ipv6: string[] }>,
  });
}

export async function viewOf(lab: Lab, instanceId: string): Promise<InstanceView | undefined> {
  return (await lab.listInstances()).find(({ providerInstanceId }) => providerInstanceId === instanceId);
}

/** Process ids of the programs beside the agent. */
export async function companions(host: BootedHost): Promise<string> {
  return host.run(`for p in /proc/[0-9]*; do
    case "$(cat $p/comm 2>/dev/null)" in dnsmasq | wireguard-go) echo "$(cat $p/comm) $(basename $p)" ;; esac
  done | sort`);
}
