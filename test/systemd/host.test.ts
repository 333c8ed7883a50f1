import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LabDevice } from "../../lab/device.ts";
import { type Machine, routerOf } from "../../lab/instance.ts";
import { Lab } from "../../lab/lab.ts";
import { planDevices, planInstances } from "../../lab/plan.ts";
import { Process } from "../../lab/process.ts";
import { corporateAddresses } from "../../lab/vpc/corporate.ts";
import { VpcPlace, vpcPlaceObstacle } from "../../lab/vpc-place.ts";
import { readFileIfThere } from "../../protocol/node/files.ts";
import { patient } from "../e2e/look.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { BootedHost } from "./booted-host.ts";
import { debianRoot, noDebian } from "./debian-root.ts";
import {
  companions,
  configurePools,
  journal,
  mainPid,
  makeOne,
  makeTwo,
  untilStatus,
  viewOf,
  writeParameters,
} from "./host-fixture.ts";

/**
 * The package on a Debian 13 with its own systemd, as an instance in the lab's VPC, with a user's connection that is open
 * from the first test that has one to the stop. In order: each test finds the host as the one before left it.
 */
vi.setConfig({ testTimeout: 90_000, hookTimeout: 400_000 });
const obstacle = noDebian ?? (await vpcPlaceObstacle());
/** systemd-nspawn hands on the controllers that the machine has in its second version of control groups. */
const controllers = readFileIfThere("/sys/fs/cgroup/cgroup.controllers") ?? "";
const noMemoryLimits = controllers.includes("memory")
  ? undefined
  : "no cgroup2 with a memory controller here";
const folder = temporaryFolder();

describe.skipIf(obstacle !== undefined)(
  `the package on a host${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    let lab: Lab;
    let machine: Machine;
    let host: BootedHost;
    let device: LabDevice;
    let steady: Process;
    let filesBefore = "";
    const run = (script: string) => host.run(script);
    const goesOn = async () => {
      const before = steady.log().length;
      await until("the connection goes on", () => steady.log().length > before + 5, 20_000);
      expect(steady.starts).toBe(1);
    };

    beforeAll(async () => {
      const packages = join(folder.path, "packages");
      mkdirSync(packages);
      const controllerPackage = join(packages, "controller.deb");
      const [root] = await Promise.all([
        debianRoot("trixie"),
        makeTwo(packages, "deb").then(() => makeOne("connector-controller", "deb", 1, controllerPackage)),
      ]);
      const place = VpcPlace.open(join(folder.path, "vpc"));
      lab = await Lab.start({ folder: folder.path, place, controllerSettings: patient });
      const [plan] = planInstances(1);
      if (plan === undefined) throw new RangeError("no plan");
      machine = await lab.prepare(plan);
      const namespace = machine.site.host?.namespace ?? "";
      host = await BootedHost.boot({ root, namespace, packages, folder: folder.path });
      filesBefore = await run(listing);
    });

    afterAll(async () => {
      await steady?.stop();
      await host?.[Symbol.asyncDispose]();
      await lab?.[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    });

    test("installed, it waits for parameters: enabled, not started, not failed", async () => {
      await run("dpkg --install /packages/first.deb");
      expect(await host.unit("connector", "UnitFileState", "ActiveState", "ConditionResult")).toEqual({
        UnitFileState: "enabled",
        ActiveState: "inactive",
        ConditionResult: "no",
      });
      expect(await host.state()).toBe("running");
      expect(await run("cd /proc/sys/net/ipv4; cat ip_unprivileged_port_start ip_forward")).toBe("53\n1");
      expect(await run("connector --version")).toMatch(/^connector \d/);
      const complete = `. /usr/share/bash-completion/completions/connector
        COMP_WORDS=(connector sta) COMP_CWORD=1; _connector_yargs_completions; echo "\${COMPREPLY[@]}"`;
      expect(await run(`bash -c '${complete}'`)).toBe("status");
    });

    test("units are verified and exposed as little as documented, by this systemd", async () => {
      expect(
        await run(
          "systemd-analyze verify --man=no connector.service connector-leave.service connector-otp.path 2>&1",
        ),
      ).toBe("");
      expect(Number(await exposure("connector"))).toBeLessThanOrEqual(1.6);
      expect(Number(await exposure("connector-leave"))).toBeLessThanOrEqual(0.4);
    });

    test("wrong parameters are named, and not tried again", async () => {
      await writeParameters(host, { controller: "nonsense", ip: "1.2.3.4", gateway: "1.2.3.1" });
      await expect(run("systemctl start connector")).rejects.toThrow("failed");
      const { ActiveState, ExecMainStatus, StatusText } = await host.unit(
        "connector",
        "ActiveState",
        "ExecMainStatus",
        "StatusText",
      );
      expect({ ActiveState, ExecMainStatus }).toEqual({ ActiveState: "failed", ExecMainStatus: "78" });
      expect(StatusText).toContain("Wrong parameters: controller");
    });

    test("ready without a credential: it says what it lacks, as its own user with one capability", async () => {
      const [{ localIpv4s, subnetIpv4CidrBlock }] = machine.ec2.interfaces;
      const gateway = routerOf(subnetIpv4CidrBlock);
      await run(`cat >/etc/connector/ca.pem <<'END'\n${readFileSync(lab.controller.caFile, "utf8")}END
        chmod 644 /etc/connector/ca.pem`);
      const told = {
        controller: lab.controller.site.url,
        ip: localIpv4s[0],
        gateway,
        caFile: "/etc/connector/ca.pem",
      };
      await writeParameters(host, { ...told, ...machine.site.parameters });
      await run("systemctl start connector");
      await untilStatus(host, /^Configured, 0 sessions; .*\[otp\.missing]/);
      const status = await run(`cat /proc/${await mainPid(host)}/status`);
      expect(/^CapEff:\s*0*1000$/m.test(status) && /^CapBnd:\s*0*1000$/m.test(status), status).toBe(true);
      expect(/^Uid:\s*0\s/m.test(status)).toBe(false);
      expect((await host.unit("connector-leave", "ActiveState")).ActiveState).toBe("active");
    });

    test("with the credential it enrols, gets its pools and is Active", async () => {
      await run(`umask 077; cat >/run/credstore/connector.otp <<'END'\n${await lab.createOtp()}\nEND`);
      await run("systemctl restart connector");
      await configurePools(lab, machine);
      await untilStatus(host, /^Active as \S+ in lab, 0 sessions/);
      expect(await journal(host)).not.toContain('"level":"error"');
      await until("the spent password is gone", async () => (await run("ls /run/credstore")) === "");
      // Parameters are kept for later boots, which find no /run of this one; the password is not.
      expect(await run("stat -c '%U %G %a' /etc/connector/enroll.yaml")).toBe("root connector 640");
    });

    test("a device attaches, and has a connection to an application", async () => {
      const [plan] = planDevices(1);
      if (plan === undefined) throw new RangeError("no plan");
      device = await lab.addDevice(plan);
      const { echo } = corporateAddresses;
      steady = new Process({
        name: "steady",
        args: [join(import.meta.dirname, "../datapath/steady-program.ts"), echo.ipv4, "7"],
        command: device.site.host?.command() ?? ["false"],
        logFile: join(folder.path, "steady.log"),
      });
      await until("it is attached", () => device.tunnel?.() !== undefined, 40_000);
      await untilStatus(host, /, 1 session$/);
      const { host: at } = device.site;
      await until("echo", async () => (await at?.run(["ping", "-nqc1", "-W1", echo.ipv4]))?.ok, 30_000);
      steady.start();
      await until("the first answers", () => steady.log().length > 5, 20_000);
      expect(await companions(host)).toMatch(/^dnsmasq \d+\nwireguard-go \d+$/);
    });

    test("one that hangs is killed by the watchdog; the next one takes over", async () => {
      await run(`mkdir -p /run/systemd/system/connector.service.d
        printf '[Service]\\nWatchdogSec=2\\n' >/run/systemd/system/connector.service.d/test.conf
        systemctl daemon-reload; systemctl restart connector`);
      await untilStatus(host, /^Active/);
      const [pid, beside] = [await mainPid(host), await companions(host)];
      await run(`kill -STOP ${pid}`);
      await until("another agent", async () => ![0, pid].includes(await mainPid(host)), 30_000);
      await untilStatus(host, /^Active/);
      const { NRestarts } = await host.unit("connector", "NRestarts");
      expect(Number(NRestarts)).toBeGreaterThanOrEqual(1);
      expect(await run("journalctl --no-pager -q -u connector -o cat")).toMatch(/Watchdog timeout/);
      expect(await companions(host)).toBe(beside);
      await goesOn();
      await run(`rm /run/systemd/system/connector.service.d/test.conf; systemctl daemon-reload`);
    });

    test("SIGKILL: it is there again with its leases", async () => {
      const leases = async () =>
        JSON.parse(await run("connector leases -o json")) as { ipv4: string; state: string }[];
      const before = (await leases()).map(({ ipv4, state }) => ({ ipv4, state }));
      expect(before).toEqual([{ ipv4: expect.any(String), state: "leased" }]);
      const pid = await mainPid(host);
      await run(`kill -KILL ${pid}`);
      await until("another agent", async () => ![0, pid].includes(await mainPid(host)), 30_000);
      await untilStatus(host, /^Active/);
      expect((await leases()).map(({ ipv4, state }) => ({ ipv4, state }))).toEqual(before);
      await goesOn();
    });

    test.skipIf(noMemoryLimits !== undefined)(
      `short of memory, only the agent is killed, and there again${noMemoryLimits === undefined ? "" : ` (skipped: ${noMemoryLimits})`}`,
      async () => {
        const group = "/sys/fs/cgroup/system.slice/connector.service";
        expect(await run(`cd ${group}; cat memory.high memory.max`)).toBe(`${384 << 20}\n${512 << 20}`);
        const [pid, beside] = [await mainPid(host), await companions(host)];
        // With more it goes on, ever reading its own code again, until the watchdog ends it.
        await run("systemctl set-property --runtime connector MemoryHigh=infinity MemoryMax=24M");
        await until("another agent", async () => ![0, pid].includes(await mainPid(host)), 30_000);
        await run("systemctl set-property --runtime connector MemoryHigh=384M MemoryMax=512M");
        expect(await run(`grep -w oom_kill ${group}/memory.events`)).toMatch(/^oom_kill [1-9]/);
        await untilStatus(host, /^Active/);
        expect(await companions(host)).toBe(beside);
        await goesOn();
      },
    );

    test("upgraded, it interrupts nobody and leaves no group", async () => {
      const of = async () => {
        const session = (await lab.listDevices())[0]?.session;
        const { ActiveEnterTimestampMonotonic: armed } = await host.unit(
          "connector-leave",
          "ActiveEnterTimestampMonotonic",
        );
        return { session: session?.id, ipv4: session?.ipv4, armed, beside: await companions(host) };
      };
      const [before, pid] = [await of(), await mainPid(host)];
      expect(await run("dpkg --install /packages/second.deb")).toContain("-2) over (");
      expect(await mainPid(host)).not.toBe(pid);
      await untilStatus(host, /^Active/);
      expect(await of()).toEqual(before);
      await goesOn();
      expect(await host.state()).toBe("running");
    });

    test("stopped, it says so, and packets flow on; started, it takes over", async () => {
      const beside = await companions(host);
      const begunMs = performance.now();
      await run("systemctl stop connector");
      expect(performance.now() - begunMs).toBeLessThan(15_000);
      expect(await host.unit("connector", "ActiveState", "Result", "StatusText")).toEqual({
        ActiveState: "inactive",
        Result: "success",
        StatusText: "Stopped; whoever is connected stays so",
      });
      await goesOn();
      expect(await companions(host)).toBe(beside);
      await run("systemctl start connector");
      await untilStatus(host, /^Active.*, 1 session$/);
      await goesOn();
    });

    test("leaving takes as long as it is given, whatever the unit's time-out; then nothing of it is in the kernel", async () => {
      await steady.stop();
      await run(`mkdir -p /run/systemd/system/connector-leave.service.d
        printf '[Service]\\nTimeoutStopSec=2\\nEnvironment=CONNECTOR_LEAVE_SECONDS=5\\n' \
          >/run/systemd/system/connector-leave.service.d/test.conf
        systemctl daemon-reload`);
      const begunMs = performance.now();
      // Nobody can take its session.
      await run("systemctl stop connector-leave");
      expect(performance.now() - begunMs).toBeGreaterThan(4_500);
      expect((await host.unit("connector-leave", "Result")).Result).toBe("success");
      await untilStatus(host, /has left the group/);
      const view = await viewOf(lab, machine.ec2.instanceId);
      expect(view?.status).not.toBe("Active");
      expect(await run("ip -o link show connector0; nft list tables")).toContain("connector");
      await run("systemctl stop connector");
      expect(await kernelState()).toBe("");
    });

    test("removed and purged, it leaves nothing", async () => {
      await run("systemctl start connector");
      await untilStatus(host, /^Active/);
      expect(await kernelState()).not.toBe("");
      await run("dpkg --remove connector");
      expect(await kernelState()).toBe("");
      expect(await run("ls -A /var/lib/connector")).toContain("identity.json");
      await run("dpkg --purge connector; rm -r /run/systemd/system/connector*.d; systemctl daemon-reload");
      expect(await added()).toEqual([]);
      expect(await run("getent passwd connector; getent group connector; echo none")).toBe("none");
      expect(await host.state()).toBe("running");
    });

    test("the controller: waits for its configuration, says how it goes, comes back, and leaves nothing", async () => {
      await run("dpkg --install /packages/controller.deb");
      const unit = (...names: string[]) => host.unit("connector-controller", ...names);
      expect(await unit("ActiveState", "UnitFileState")).toEqual({
        ActiveState: "inactive",
        UnitFileState: "enabled",
      });
      await run(`echo 'listen: 127.0.0.1:8443' >/etc/connector-controller/controller.yaml
        systemctl start connector-controller`);
      expect(await unit("StatusText", "ActiveState")).toEqual({
        StatusText: "0 of 0 instances active, 0 sessions",
        ActiveState: "active",
      });
      expect(Number(await exposure("connector-controller"))).toBeLessThanOrEqual(1.1);
      const pid = await mainPid(host, "connector-controller");
      const capabilities = await run(`grep -E '^(CapEff|CapBnd):' /proc/${pid}/status`);
      expect(capabilities).toMatch(/^CapEff:\s0+\nCapBnd:\s0+$/);
      const make = "token create --state-dir /var/lib/connector-controller --name admin --out /tmp/token";
      await run(`runuser -u connector-controller -- connector-controller ${make}`);
      const env = "CONNECTOR_URL=http://127.0.0.1:8443 CONNECTOR_ADMIN_TOKEN_FILE=/tmp/token";
      expect(await run(`${env} connector-controller group create Employees`)).toContain("is created");
      await run(`kill -KILL ${pid}`);
      const isAnother = async () => ![0, pid].includes(await mainPid(host, "connector-controller"));
      await until("another", isAnother, 30_000);
      await until("it is ready", async () => (await unit("ActiveState")).ActiveState === "active", 30_000);
      expect(await run(`${env} connector-controller group list`)).toContain("Employees");
      await run("dpkg --purge connector-controller");
      expect(await added()).toEqual([]);
      expect(await host.state()).toBe("running");
    });

    async function added(): Promise<string[]> {
      const before = new Set(filesBefore.split("\n"));
      return (await run(listing)).split("\n").filter((path) => !before.has(path));
    }

    async function exposure(unit: string): Promise<string | undefined> {
      return /level for \S+: ([\d.]+)/.exec(await run(`systemd-analyze security --no-pager ${unit}`))?.[1];
    }

    async function kernelState(): Promise<string> {
      const shown = await run(
        "ip -o link show connector0 2>/dev/null; nft list tables; ip route show dev connector0 2>/dev/null; true",
      );
      return `${shown}${await companions(host)}`;
    }
  },
);

/** All that is on the disk and in /run, but what belongs to systemd, dpkg and the journal. */
const listing = `find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /packages -o -path /var/log \
  -o -path /run/systemd -o -path /run/log -o -path /var/lib/dpkg -o -path '/var/lib/systemd' -o -path '/tmp' -o -path /var/tmp \
  -o -path /run/credentials -o -path '/etc/*-' -o -path /run/connector-boot -o -path /run/credstore \\) -prune -o -print; find /run -xdev -mindepth 1 \\( -path /run/systemd \
  -o -path /run/log -o -path /run/credentials -o -path /run/connector-boot -o -path /run/credstore \\) -prune -o -print`;
