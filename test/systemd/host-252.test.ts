import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { temporaryFolder } from "../support/folder.ts";
import { noNamespaces, TestHosts } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { BootedHost } from "./booted-host.ts";
import { debianRoot, noDebian } from "./debian-root.ts";
import { journal, mainPid, makeTwo, untilStatus, writeParameters } from "./host-fixture.ts";

/**
 * The .rpm on systemd 252, as Amazon Linux 2023 has it: Debian 12 stands in, with its own rpm. Words travel by
 * systemd-notify here. There is no network. In order, as in host.test.ts.
 */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 400_000 });
const obstacle = noDebian ?? noNamespaces;
const folder = temporaryFolder();

describe.skipIf(obstacle !== undefined)(
  `the package on systemd 252${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    let hosts: TestHosts;
    let host: BootedHost;
    const run = (script: string) => host.run(script);
    const parameters = { controller: "https://192.0.2.1", ip: "172.18.140.76", gateway: "172.18.128.1" };

    beforeAll(async () => {
      const packages = join(folder.path, "packages");
      mkdirSync(packages);
      const [root] = await Promise.all([debianRoot("bookworm"), makeTwo(packages, "rpm")]);
      hosts = new TestHosts();
      host = await BootedHost.boot({ root, namespace: hosts.add("252"), packages, folder: folder.path });
    });

    afterAll(async () => {
      await host?.[Symbol.asyncDispose]();
      hosts?.[Symbol.dispose]();
      folder[Symbol.dispose]();
    });

    test("installed, it waits for parameters", async () => {
      expect(await run("systemctl --version | head -1")).toMatch(/^systemd 252 /);
      await run(`rpm --install --nodeps ${packageOf("first")}`);
      const { UnitFileState, ActiveState, DropInPaths } = await host.unit(
        "connector",
        "UnitFileState",
        "ActiveState",
        "DropInPaths",
      );
      expect({ UnitFileState, ActiveState, DropInPaths }).toEqual({
        UnitFileState: "enabled",
        ActiveState: "inactive",
        DropInPaths: "",
      });
      await run("systemctl start connector");
      expect((await host.unit("connector", "ActiveState")).ActiveState).toBe("inactive");
      expect(await run("journalctl --no-pager --quiet | grep -i 'unknown key' || true")).toBe("");
    });

    test("it is ready without a credential, and its words arrive", async () => {
      await writeParameters(host, parameters);
      await run("systemctl start connector");
      await untilStatus(host, /^Configured, 0 sessions; .*\[enrol\.document-missing]/);
      expect((await host.unit("connector", "ActiveState")).ActiveState).toBe("active");
      expect(await journal(host)).not.toContain("systemd cannot be told");
    });

    test("it has the credential that is there, and nobody else has", async () => {
      await run(
        "umask 077; echo an-otp-of-some-length >/run/credstore/connector.otp; systemctl restart connector",
      );
      const file = `/proc/${await mainPid(host)}/root/run/credentials/connector.service/connector.otp`;
      expect(await run(`cat ${file}`)).toBe("an-otp-of-some-length");
      await expect(run(`runuser -u nobody -- cat ${file}`)).rejects.toThrow("denied");
    });

    test("changed parameters are taken and read by a reload", async () => {
      const pid = await mainPid(host);
      await writeParameters(host, { ...parameters, controller: "https://192.0.2.2" });
      await run("systemctl reload connector");
      await until("the other controller", async () => {
        return (await run("connector status -o json || true")).includes("https://192.0.2.2");
      });
      expect(await mainPid(host)).toBe(pid);
    });

    test("it feeds the watchdog, which kills one that hangs", async () => {
      await run(`mkdir -p /run/systemd/system/connector.service.d
        printf '[Service]\\nWatchdogSec=4\\n' >/run/systemd/system/connector.service.d/test.conf
        systemctl daemon-reload; systemctl restart connector`);
      const pid = await mainPid(host);
      const fed = async () =>
        (await host.unit("connector", "WatchdogTimestampMonotonic")).WatchdogTimestampMonotonic;
      const first = Number(await fed());
      await until(
        "it was fed for twice as long",
        async () => Number(await fed()) - first > 8_000_000,
        30_000,
      );
      expect(await mainPid(host)).toBe(pid);
      await run(`kill -STOP ${pid}`);
      await until("another agent", async () => ![0, pid].includes(await mainPid(host)), 30_000);
      expect(await run("journalctl --no-pager -q -u connector -o cat")).toContain("Watchdog timeout");
      await untilStatus(host, /^Configured/);
    });

    test("SIGKILL: it is there again", async () => {
      const pid = await mainPid(host);
      await run(`kill -KILL ${pid}`);
      await until("another agent", async () => ![0, pid].includes(await mainPid(host)), 30_000);
      await untilStatus(host, /^Configured/);
    });

    test("upgraded, the new agent runs; erased, nothing of it does", async () => {
      const pid = await mainPid(host);
      await run(`rpm --upgrade --nodeps ${packageOf("second")}`);
      expect([0, pid]).not.toContain(await mainPid(host));
      await untilStatus(host, /^Configured/);
      expect((await host.unit("connector-leave", "ActiveState")).ActiveState).toBe("active");
      await run("rpm --erase connector");
      expect(await run("systemctl is-active connector connector-leave || true")).toBe("inactive\ninactive");
      expect(await run("test ! -e /usr/lib/connector && ls -A /var/lib/connector")).toContain("agent.db");
      expect(await host.state()).toBe("running");
    });
  },
);

/** As rpm takes it on a Debian: it knows of no package. */
function packageOf(name: "first" | "second"): string {
  return `--force-debian --nosignature /packages/${name}.rpm`;
}
