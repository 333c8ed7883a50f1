import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Lab } from "../../lab/lab.ts";
import { connectorName, planDevices } from "../../lab/plan.ts";
import { prove, shortcomings } from "../../lab/proof.ts";
import { resources } from "../../lab/services.ts";
import { vpcCidrs } from "../../lab/vpc/addresses.ts";
import { corporateAddresses } from "../../lab/vpc/corporate.ts";
import type { Host } from "../../lab/vpc/host.ts";
import { VpcPlace } from "../../lab/vpc-place.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import { untilActive } from "../e2e/look.ts";
import { obstacle, seen, shell, title } from "../lab/vpc-fixture.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

/** A connector whose services are named by domain, and by nothing else. */
vi.setConfig({ testTimeout: 30_000, hookTimeout: 90_000 });
const folder = temporaryFolder();
const { echo, web } = corporateAddresses;
let lab: Lab;

describe.skipIf(obstacle !== undefined)(title("services by domain alone"), () => {
  beforeAll(async () => {
    const place = await VpcPlace.open(join(folder.path, "vpc"));
    lab = await Lab.start({ folder: folder.path, place });
    const byDomain = resources.filter(({ destination }) => "domain" in destination);
    const asked = { params: { connector: connectorName }, body: { resources: byDomain } };
    await lab.controller.admin.call("connector.update", asked);
    await lab.configurePools(await lab.launch());
    for (const plan of planDevices(1)) await lab.addDevice(plan);
    await untilActive(lab);
  });

  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("are reached at the address of before by a device that has not asked this instance for it", async () => {
    const urls = [`http://${web.ipv4}/`, `http://[${web.ipv6}]/`];
    await until("the instance knows them by itself", async () => {
      const answers = await device().ask(
        ...urls.map((url) => ({ kind: "http", url, withinMs: 1_000 }) as const),
      );
      return answers.every(({ ok }) => ok);
    });
  });

  test("answer by name over both families, with the user's own address, and on no other port", async () => {
    const proofs = await prove(lab, performance.now() + 20_000, new AbortController().signal);
    expect(proofs).toHaveLength(1);
    expect(proofs.flatMap(shortcomings)).toEqual([]);
    const url = "http://any.apps.corp.internal/";
    const [ipv4, ipv6] = await device().ask(
      { kind: "http", url, family: 4 },
      { kind: "http", url, family: 6, dns: instanceEnd.ipv6 },
    );
    expect([ipv4, ipv6].map((answer) => answer && seen(answer))).toEqual([
      proofs[0]?.leased.ipv4,
      proofs[0]?.leased.ipv6,
    ]);
  });

  test("are routed by the VPC's blocks, which the metadata service names", async () => {
    const ends = [`${instanceEnd.ipv4}`, `${instanceEnd.ipv6}`];
    const blocks = vpcCidrs.slice(0, 2);
    const routed = await shell(
      device(),
      `(ip -o route show dev connector-dev; ip -6 -o route show dev connector-dev) | grep 'metric 32000'`,
    );
    expect(
      routed
        .split("\n")
        .map((line) => line.split(" ")[0])
        .toSorted(),
    ).toEqual([...ends, ...blocks].toSorted());
  });

  test("open nothing beside them: what is only routed is dropped by the instance", async () => {
    const before = await refused();
    for (const address of [echo.ipv4, echo.ipv6]) {
      expect(await shell(device(), `ip route get ${address}`)).toContain("dev connector-dev");
    }
    const text = "let me in";
    const answers = await device().ask(
      ...[echo.ipv4, echo.ipv6].flatMap((address) => [
        { kind: "tcp", address, port: 7, text } as const,
        { kind: "udp", address, port: 7, text } as const,
      ]),
      // The application's other port.
      { kind: "tcp", address: web.ipv4, port: 8080, text },
      { kind: "tcp", address: web.ipv6, port: 8080, text },
    );
    expect(answers.map((answer) => (answer.ok ? answer.text : answer.why))).toEqual(
      answers.map(() => "ETIMEDOUT"),
    );
    expect(await refused()).toBeGreaterThanOrEqual(before + answers.length);
    for (const address of [echo.ipv4, echo.ipv6]) {
      expect(await shell(device(), `ping -n -q -c1 -W1 ${address} > /dev/null && echo yes || echo no`)).toBe(
        "no",
      );
    }
  });

  test("are shown with the networks they are sought in", async () => {
    expect(await lab.listInstances()).toMatchObject([{ vpcCidrs: vpcCidrs.slice(0, 2) }]);
  });
});

function device(): Host {
  const host = lab.devices[0]?.site.host;
  if (host === undefined) throw new RangeError("no device");
  return host;
}

/** Packets that the instance dropped because no service allows them. */
async function refused(): Promise<number> {
  const host = lab.instances[0]?.site.host;
  if (host === undefined) throw new RangeError("no instance");
  const items: { counter?: { name: string; packets: number } }[] = JSON.parse(
    await shell(host, "nft -j list counters table inet connector"),
  ).nftables;
  const counters = items.filter(({ counter }) => counter?.name.includes("refused"));
  return counters.reduce((sum, { counter }) => sum + (counter?.packets ?? 0), 0);
}
