import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { LabDevice } from "../../lab/device.ts";
import type { LabInstance } from "../../lab/instance.ts";
import type { Lab } from "../../lab/lab.ts";
import { planInstances } from "../../lab/plan.ts";
import { Process } from "../../lab/process.ts";
import { prove, shortcomings, web } from "../../lab/proof.ts";
import { scripts } from "../../lab/scripts.ts";
import { startLab } from "../../lab/start.ts";
import { Asker } from "../../lab/vpc/asker.ts";
import { corporateAddresses } from "../../lab/vpc/corporate.ts";
import type { Host } from "../../lab/vpc/host.ts";
import { VpcPlace } from "../../lab/vpc-place.ts";
import { instanceOf, look, places, untilActive, untilCondition } from "../e2e/look.ts";
import { obstacle, shell } from "../lab/vpc-fixture.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

/** The whole product on one machine each, and what is done to it while packets flow. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });
const folder = temporaryFolder();
const { echo, caller } = corporateAddresses;
let lab: Lab;

describe.skipIf(obstacle !== undefined)(
  `the product${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    beforeAll(async () => {
      const place = await VpcPlace.open(join(folder.path, "vpc"));
      lab = await startLab({
        folder: folder.path,
        place,
        instances: 1,
        devices: 5,
        prefixSchedule: "* * * * * *",
      });
      await untilActive(lab);
      await untilProven();
    });

    afterAll(async () => {
      await lab?.[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    });

    describe("lets nothing through but what it should", () => {
      test("neither the metadata service, nor another user, nor an address that nobody leases", async () => {
        const [one, two] = await Promise.all([leaseOf(device(0)), leaseOf(device(1))]);
        const { host } = device(0);
        await shell(
          host,
          "ip route add 169.254.169.254 dev connector-dev; ip route add fd00:ec2::254 dev connector-dev",
        );
        await shell(
          host,
          `ip route add 172.18.128.0/24 dev connector-dev; ip -6 route add 2600:1f18:2a89:703::/64 dev connector-dev`,
        );
        // The peer takes them all: what stops them is the instance.
        const peer = (await shell(host, "wg show connector-dev peers")).trim();
        const before = await shell(host, "wg show connector-dev allowed-ips");
        const widen = () => shell(host, `wg set connector-dev peer ${peer} allowed-ips 0.0.0.0/0,::/0`);
        await widen();
        onTestFinished(async () => {
          const allowed = before.split("\t")[1]?.trim().replaceAll(" ", ",");
          await shell(host, `wg set connector-dev peer ${peer} allowed-ips ${allowed}`);
        });
        const unleased = one.ipv4.replace(/\d+$/, (end) => `${Number(end) ^ 8}`);
        const targets = ["169.254.169.254", "fd00:ec2::254", two.ipv4, two.ipv6, unleased];
        for (const target of targets) expect(await pings(host, target), target).toBe(false);
        expect(await reaches(host, echo.ipv4)).toBe(true);
        // The device may have set its tunnel right meanwhile: then nothing came to the instance.
        await until("the instance to drop it", async () => {
          await widen();
          expect(await pings(host, "169.254.169.254")).toBe(false);
          return (await dropped("drop_metadata")) > 0;
        });
      });

      test("no packet with another source than the leased one", async () => {
        const { host } = device(0);
        const { ipv4 } = await leaseOf(device(1));
        await shell(host, `ip address add ${ipv4}/32 dev connector-dev`);
        onTestFinished(() => shell(host, `ip address del ${ipv4}/32 dev connector-dev`).then(() => {}));
        expect(await pings(host, echo.ipv4, ipv4)).toBe(false);
        expect(await reaches(host, echo.ipv4)).toBe(true);
      });

      test("connections from the applications only where a service allows them", async () => {
        const [employee, contractor] = [deviceOf("Employees"), deviceOf("Contractors")];
        const callerUrl = `http://${caller.ipv4}/call`;
        const callOther = `${callerUrl}?port=9000&address=${(await leaseOf(contractor)).ipv4}`;
        const patiently = { kind: "callback", url: callerUrl, port: 9_000, withinMs: 10_000 } as const;
        const [called] = await employee.host.ask(patiently);
        expect(called).toMatchObject({ ok: true, text: expect.stringMatching(/"connected":true/) });
        // Contractors may neither ask it to call nor be called.
        const [refused] = await contractor.host.ask({ kind: "callback", url: callerUrl, port: 9_000 });
        expect(refused).toEqual({ ok: false, why: "ETIMEDOUT" });
        const [other] = await employee.host.ask({ kind: "http", url: callOther, withinMs: 10_000 });
        expect(other).toMatchObject({
          ok: true,
          text: expect.stringMatching(/"connected":false,"why":"ETIMEDOUT"/),
        });
      });
    });

    describe("goes on", () => {
      test("with 100 MB on their way while the agent is killed again and again", async () => {
        const transfer = new Process({
          name: "transfer",
          args: [join(import.meta.dirname, "transfer-program.ts"), echo.ipv4, "7", `${100_000_000}`],
          command: device(0).host.command(),
          logFile: join(folder.path, "transfer.log"),
        });
        transfer.start();
        onTestFinished(() => transfer.stop().then(() => {}));
        await until("it has begun", () => transfer.log().includes("begun"), 30_000);
        const agent = instance().process;
        for (let kills = 0; kills < 3; kills++) {
          const { starts } = agent;
          agent.signal("SIGKILL");
          await until("a new agent", () => agent.starts > starts && agent.pid !== undefined);
          // It is under way when the agent goes.
          if (kills === 0) expect(transfer.log()).toBe("begun\n");
          await until(
            "it is Active",
            async () => (await look(instance(), "status"))?.status === "Active",
            20_000,
          );
        }
        // It begins anew when it has ended.
        await until("it has ended", () => transfer.log().split("\n").length > 2, 30_000);
        expect(transfer.log()).toMatch(/^begun\ndone\n/);
        await untilActive(lab);
      });

      test("without the controller: packets flow, and leases renew", async () => {
        const { process } = lab.controller;
        const before = await places(lab);
        await process.stop();
        const ends = async () => (await look(instance(), "leases"))?.map(({ untilMs }) => untilMs) ?? [];
        const first = await ends();
        expect(first).toHaveLength(5);
        await using asker = new Asker(device(0).host);
        await until(
          "every lease lasts longer",
          async () => {
            expect((await asker.ask(web(4, 5_000))).answer).toMatchObject({ ok: true });
            return (await ends()).every((end, i) => end > (first[i] ?? 0));
          },
          30_000,
        );
        process.start();
        await untilActive(lab);
        expect(await places(lab)).toEqual(before);
        await untilProven();
      });
    });

    test("the tunnel's own packets are no connections: only what is inside them is", async () => {
      // Before anybody deletes the table: without it they are tracked, and that is remembered for minutes.
      const tracked = await shell(hostOf(instance()), "conntrack -L -p udp 2>/dev/null | grep -c 51820");
      expect(tracked).toBe("0");
    });

    describe("comes back by itself", () => {
      const damages: readonly [what: string, how: string, condition: string | undefined][] = [
        ["the table is deleted", "nft delete table inet connector", "datapath.drifted"],
        ["every table is flushed", "nft flush ruleset", "datapath.drifted"],
        ["the interface is deleted", "ip link del connector0", "datapath.drifted"],
        ["wireguard-go is killed", "pkill -9 -x wireguard-go --ns $$ --nslist net", "datapath.drifted"],
        ["dnsmasq is killed", "pkill -9 -x dnsmasq --ns $$ --nslist net", undefined],
        ["dnsmasq hangs", "pkill -STOP -x dnsmasq --ns $$ --nslist net", undefined],
      ];
      let steady: Process;
      const lines = () => steady.log().length;

      beforeAll(async () => {
        steady = new Process({
          name: "steady",
          args: [join(import.meta.dirname, "steady-program.ts"), echo.ipv4, "7"],
          command: device(3).host.command(),
          logFile: join(folder.path, "steady.log"),
        });
        steady.start();
        await until("it has begun", () => lines() > 0);
      });
      afterAll(() => steady?.stop());

      test.each(damages)("%s, and a connection that is open goes on", async (_what, how, condition) => {
        await shell(hostOf(instance()), how);
        if (condition !== undefined) await untilCondition(instance(), condition);
        await untilProven();
        expect((await look(instance(), "status"))?.status).toBe("Active");
        // Nothing that is open stays open.
        const { host } = device(0);
        expect(await pings(host, "169.254.169.254")).toBe(false);
        const before = lines();
        await until("the connection goes on", () => lines() > before, 10_000);
        expect(steady.starts).toBe(1);
      });
    });

    test("what was served is shown", async () => {
      await until("all are active", async () => (await look(instance(), "status"))?.activeAgents === 5);
      const sessions = (await look(instance(), "sessions")) ?? [];
      for (const { rxBytes = 0, txBytes = 0, handshakeMs = 0, endpoint = "" } of sessions) {
        expect(Math.min(rxBytes, txBytes)).toBeGreaterThan(1_000);
        expect(Date.now() - handshakeMs).toBeLessThan(200_000);
        expect(endpoint).toMatch(/^198\.18\.1\.\d+:\d+$/);
      }
    });

    test("a support bundle holds what the kernel has, and no key", async () => {
      const { parametersFile, stateFolder, socket } = instance();
      const out = join(folder.path, "bundle.tar.gz");
      const options = `--parameters ${parametersFile} --state-dir ${stateFolder} --socket ${socket} --out ${out}`;
      // No test's own command line looks at the machine; this one is of another.
      const cli = `env -u CONNECTOR_DATAPATH ${process.execPath} ${scripts.cli} support-bundle ${options}`;
      expect(await shell(hostOf(instance()), cli)).toContain("datapath/ruleset.txt");
      const read = (name: string) =>
        execFileSync("tar", ["-xzOf", out, "--wildcards", `*/${name}`], { encoding: "utf8" });
      const { ipv4 } = await leaseOf(deviceOf("Employees"));
      expect(read("datapath/ruleset.txt")).toContain(`${ipv4} : goto grp_employees_`);
      expect(read("datapath/wireguard.txt")).toContain(`allowed ips: ${ipv4}/32`);
      expect(read("datapath/dnsmasq.conf")).toContain("nftset=/");
      expect(read("datapath/dnsmasq.servers")).toContain("server=");
      expect(read("host/routes.txt")).toContain("dev connector0");
      const identity = readFileSync(join(stateFolder, "identity.json"), "utf8");
      const all = read("*");
      for (const [key] of identity.matchAll(/[A-Za-z0-9_-]{43}/g)) {
        expect(all).not.toContain(key);
        expect(all).not.toContain(Buffer.from(key, "base64url").toString("base64"));
      }
    });

    test("a device that is logged out is cut off within a second, connections included", async () => {
      const leaving = device(2);
      const { ipv4 } = await leaseOf(leaving);
      const transfer = new Process({
        name: "endless",
        args: [join(import.meta.dirname, "transfer-program.ts"), echo.ipv4, "7", `${10_000_000_000}`],
        command: leaving.host.command(),
        logFile: join(folder.path, "endless.log"),
      });
      // Holding its tunnel up by hand: what counts is that the instance lets go.
      transfer.start();
      onTestFinished(() => transfer.stop().then(() => {}));
      const entries = async () =>
        Number(
          await shell(
            hostOf(instance()),
            `conntrack -C; conntrack -L -s ${ipv4} 2>/dev/null | grep -c .`,
          ).then((text) => text.split("\n")[1]),
        );
      await until("it is connected", async () => (await entries()) > 0);
      leaving.process.signal("SIGSTOP");
      const { id } = (await lab.listDevices()).find(({ name }) => name === leaving.plan.name) ?? { id: "" };
      const endedAtMs = performance.now();
      await lab.controller.admin.call("device.remove", { params: { device: id } });
      // Looking takes a while: what counts is when something of it was still to be seen.
      let seenAtMs = endedAtMs;
      await until("nothing of it is left", async () => {
        const lookedAtMs = performance.now();
        const isLeft = (await entries()) > 0;
        if (isLeft) seenAtMs = lookedAtMs;
        return !isLeft;
      });
      expect(seenAtMs - endedAtMs).toBeLessThan(1_000);
      expect(
        await shell(
          hostOf(instance()),
          `nft get element inet connector users4 '{ ${ipv4} }' 2>&1 | grep -c "No such file"`,
        ),
      ).not.toBe("0");
      leaving.process.signal("SIGCONT");
    });

    test("an instance that boots without a network says so, and is in as soon as there is one", async () => {
      const plan = planInstances(3).at(-1);
      if (plan === undefined) throw new RangeError("no plan");
      const { site } = await lab.prepare(plan);
      await site.host?.unplug();
      const late = await lab.launch(plan);
      await untilCondition(late, "enrol.document-missing");
      expect(await look(late, "status")).toMatchObject({ status: "Configured" });
      expect(await lab.viewOf(late)).toBeUndefined();
      await site.host?.plug();
      await until("it is in", async () => (await look(late, "status"))?.status === "Online", 40_000);
    });
  },
);

const instance = () => instanceOf(lab);

function device(number: number): LabDevice & { host: Host } {
  const found = lab.devices[number];
  if (found?.site.host === undefined) throw new RangeError(`no device ${number}`);
  return { ...found, host: found.site.host };
}

function deviceOf(group: string): LabDevice & { host: Host } {
  return device(lab.devices.findIndex(({ plan }) => plan.group === group));
}

function hostOf({ site }: LabInstance): Host {
  if (site.host === undefined) throw new RangeError("the instance has no host");
  return site.host;
}

async function leaseOf({ plan }: LabDevice): Promise<{ ipv4: string; ipv6: string }> {
  const session = (await lab.listDevices()).find(({ name }) => name === plan.name)?.session;
  return { ipv4: session?.ipv4 ?? "none", ipv6: session?.ipv6 ?? "none" };
}

/** Every device gets what it asks for over both families, with its own addresses, and not what no service allows. */
async function untilProven(): Promise<void> {
  const proofs = await prove(lab, performance.now() + 20_000, new AbortController().signal);
  expect(proofs.flatMap(shortcomings)).toEqual([]);
}

/** Whether one echo comes back within a second: for what is to be silent. */
function pings(host: Host, to: string, from?: string): Promise<boolean> {
  return echoes(host, 1, from === undefined ? to : `-I ${from} ${to}`);
}

/** Whether one comes back, which a busy machine may take its time for. */
function reaches(host: Host, to: string): Promise<boolean> {
  return echoes(host, 4, to);
}

async function echoes(host: Host, withinS: number, to: string): Promise<boolean> {
  const ping = `ping -n -q -c1 -W${withinS} ${to} > /dev/null && echo yes || echo no`;
  return (await shell(host, ping)).endsWith("yes");
}

/** What the firewall dropped for these reasons. */
async function dropped(...reasons: string[]): Promise<number> {
  const text = await shell(hostOf(instance()), "nft -j list counters table inet connector");
  const items: { counter?: { name: string; packets: number } }[] = JSON.parse(text).nftables;
  return items.reduce(
    (sum, { counter }) => sum + (reasons.includes(counter?.name ?? "") ? (counter?.packets ?? 0) : 0),
    0,
  );
}
