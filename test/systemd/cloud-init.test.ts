import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Machine, routerOf } from "../../lab/instance.ts";
import { Lab } from "../../lab/lab.ts";
import { planInstances } from "../../lab/plan.ts";
import { publicIpv4 } from "../../lab/vpc/addresses.ts";
import { VpcPlace, vpcPlaceObstacle } from "../../lab/vpc-place.ts";
import { root as repository } from "../../scripts/setup.mjs";
import { patient } from "../e2e/look.ts";
import { generatedUserData, withLabParameters } from "../image/user-data.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { BootedHost } from "./booted-host.ts";
import {
  becameAt,
  bootedAt,
  cloudInitResult,
  filesWith,
  likeTheImage,
  monotonicSeconds,
  seed,
} from "./cloud-init-fixture.ts";
import { debianRoot, noDebian } from "./debian-root.ts";
import { configurePools, journal, makeOne, untilStatus, viewOf } from "./host-fixture.ts";

/**
 * The package on a Debian 13 that is booted with cloud-init: all of its stages, in the order that systemd gives them, with the
 * user-data that the controller's command line prints. In order: each test finds the hosts as the one before left them.
 */
vi.setConfig({ testTimeout: 90_000, hookTimeout: 400_000 });
const obstacle = noDebian ?? (await vpcPlaceObstacle());
const folder = temporaryFolder();
const another = `otp_${"0".repeat(32)}`;
const stages = ["init", "init-local", "modules-config", "modules-final"];

describe.skipIf(obstacle !== undefined)(
  `a host that cloud-init sets up${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    const packages = join(folder.path, "packages");
    const hosts: BootedHost[] = [];
    let root: string;
    let lab: Lab;

    beforeAll(async () => {
      mkdirSync(packages);
      copyFileSync(join(repository, "cloud-init/90-connector.cfg"), join(packages, "90-connector.cfg"));
      [root] = await Promise.all([
        debianRoot("trixie"),
        makeOne("connector", "deb", 1, join(packages, "connector.deb")),
      ]);
      const place = VpcPlace.open(join(folder.path, "vpc"));
      lab = await Lab.start({ folder: folder.path, place, controllerSettings: patient });
    });

    afterAll(async () => {
      await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()));
      await lab?.[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    });

    async function prepare(ordinal: number, userData: string): Promise<Machine> {
      const plan = planInstances(2)[ordinal - 1];
      if (plan === undefined) throw new RangeError("no plan");
      return lab.prepare(plan, { ec2: { userData } });
    }

    async function boot({ site }: Machine, image: string): Promise<BootedHost> {
      const namespace = site.host?.namespace ?? "";
      const host = await BootedHost.boot({ root, namespace, packages, folder: folder.path, image });
      hosts.push(host);
      return host;
    }

    describe("by the metadata service", () => {
      let machine: Machine;
      let host: BootedHost;
      let otp: string;

      test("boots to Online; with its pools it is Active", async () => {
        const userData = withLabParameters(generatedUserData(lab), publicIpv4(1));
        otp = otpOf(userData);
        machine = await prepare(1, userData);
        host = await boot(machine, likeTheImage);
        expect(await cloudInitResult(host)).toEqual({
          datasource: "DataSourceEc2Local",
          errors: [],
          stages,
          recoverable: [],
        });
        const toldAt = monotonicSeconds();
        await configurePools(lab, machine);
        await untilStatus(host, /^Active as \S+ in lab, 0 sessions/);
        const online = (await becameAt(host, "Online")) - (await bootedAt(host));
        const active = (await becameAt(host, "Active")) - toldAt;
        console.log(
          `Online ${seconds(online)} after the boot began, Active ${seconds(active)} after its pools were set`,
        );
        expect(await host.state()).toBe("running");
        expect(await journal(host)).not.toContain('"level":"error"');
        expect(await checkLine(host)).toBe("ok took its data from DataSourceEc2Local");
      });

      test("the spent password is nowhere on it, but where systemd has it for the agent that runs", async () => {
        await until("it was removed", async () => (await host.run("ls -A /run/credstore")) === "");
        await untilForgotten(host);
        expect(await filesWith(host, otp)).toEqual(["/run/credentials/connector.service/connector.otp"]);
        // Long entries of the journal are packed.
        expect(await host.run(`journalctl --no-pager --quiet --output cat | grep -cF '${otp}' || true`)).toBe(
          "0",
        );
        // Its length and all around it are as they were: cloud-init reads what it left.
        const overwritten = "x".repeat(otp.length);
        expect(await host.run("cloud-init query userdata")).toContain(`      ${overwritten}\n`);
        expect(await host.run("stat -c '%a %U' /var/lib/cloud/instance/obj.pkl")).toBe("400 root");
        expect(await host.run("cloud-init status")).toBe("status: done");
        expect((await host.unit("connector-otp", "Result")).Result).toBe("success");
      });

      test("the user who may log in asks the agent, reads its log, and is not root", async () => {
        const asAdmin = (command: string) => host.run(`runuser -u admin -- ${command}`);
        expect(await asAdmin("connector status || true")).toMatch(/^\S+ {2}Active/);
        expect(await asAdmin("journalctl -u connector -o cat -n 1")).not.toBe("");
        expect((await asAdmin("id -nG")).trim().split(" ").toSorted()).toEqual(["adm", "admin", "connector"]);
      });

      test("the service is restarted: Active again", async () => {
        const fromS = monotonicSeconds();
        await host.run("systemctl restart connector");
        await until("Active again", async () => (await becameAt(host, "Active")) > fromS, 30_000);
        console.log(`Active ${seconds((await becameAt(host, "Active")) - fromS)} after systemctl restart`);
        expect(await filesWith(host, otp)).toEqual([]);
      });

      test("a reboot: the same instance; the password that came back with the user-data is overwritten again", async () => {
        const before = await viewOf(lab, machine.ec2.instanceId);
        // Left alone: another one than was spent, and what a link leads to.
        await host.run(`echo '${otp}' >/root/outside; ln -s /root/outside /var/lib/cloud/data/link
          echo '${another}' >/var/lib/cloud/data/another`);
        await host.reboot();
        expect(await cloudInitResult(host)).toMatchObject({
          datasource: "DataSourceEc2Local",
          recoverable: [],
        });
        await untilStatus(host, /^Active/);
        expect((await viewOf(lab, machine.ec2.instanceId))?.name).toBe(before?.name);
        await untilForgotten(host);
        const said = await host.run("journalctl --boot --quiet --no-pager --unit connector-otp --output cat");
        expect(said).toContain("overwritten in /var/lib/cloud/instances/");
        expect(await filesWith(host, otp)).toEqual(["/root/outside"]);
        expect(await filesWith(host, another)).toEqual(["/var/lib/cloud/data/another"]);
        expect(await host.run("ls -A /run/credstore 2>/dev/null || true")).toBe("");
        expect(await host.run("cloud-init status")).toBe("status: done");
      });
    });

    describe("by a seed", () => {
      let machine: Machine;
      let host: BootedHost;
      let userData: string;

      test("boots to Online; with its pools it is Active; the password is gone from the seed, too", async () => {
        machine = await prepare(2, "#cloud-config\n");
        const [{ localIpv4s, subnetIpv4CidrBlock }] = machine.ec2.interfaces;
        const address = ["--ip", localIpv4s[0], "--gateway", routerOf(subnetIpv4CidrBlock)];
        const generated = generatedUserData(lab, ...address);
        userData = withLabParameters(generated, publicIpv4(2));
        host = await boot(machine, likeTheImage + seed(userData, "first"));
        expect(await cloudInitResult(host)).toEqual({
          datasource: "DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud]",
          errors: [],
          stages,
          recoverable: [],
        });
        await configurePools(lab, machine);
        await untilStatus(host, /^Active as \S+ in lab, 0 sessions/);
        await untilForgotten(host);
        expect(await filesWith(host, otpOf(userData))).toEqual([
          "/run/credentials/connector.service/connector.otp",
        ]);
      });

      test("user-data that is not YAML: `check` says so", async () => {
        await host.run(seed(`${userData}  "open: [\n`, "second"));
        await host.reboot();
        const { errors, recoverable } = await cloudInitResult(host);
        expect(errors).toEqual([]);
        expect(recoverable.join("\n")).toMatch(/^WARNING: .*while scanning a quoted scalar/m);
        expect(await checkLine(host)).toMatch(/^warn +cloud-init had \d errors: .* line \d+,? column \d+$/);
        expect(await filesWith(host, otpOf(userData))).toEqual([]);
      });

      test("no data source, while there is user-data: `check` says so", async () => {
        await host.run(`rm -r /var/lib/cloud/seed; cloud-init clean
          echo 'datasource_list: [NoCloud, None]' >/etc/cloud/cloud.cfg.d/96-source.cfg`);
        await host.reboot();
        expect(await cloudInitResult(host)).toMatchObject({ datasource: "DataSourceNone", errors: [] });
        expect(await checkLine(host)).toMatch(/^warn .*parameters\.no-datasource/);
      });
    });

    test("on the machine that they run on, nothing tells of these hosts", () => {
      const run = "/run/systemd/nspawn";
      const there = existsSync(run) ? readdirSync(run, { recursive: true, encoding: "utf8" }) : [];
      expect(there.filter((path) => path.includes(`connector-${process.pid}-`))).toEqual([]);
    });
  },
);

/** What `connector check` says of cloud-init: result, and text. */
async function checkLine(host: BootedHost): Promise<string> {
  const { lines } = JSON.parse(await host.run("connector check -o json || true")) as { lines: CheckLine[] };
  const { result, text, code } = lines.find(({ name }) => name === "cloud-init") ?? {};
  return `${result} ${text}${code === undefined ? "" : ` ${code}`}`;
}

type CheckLine = Readonly<Record<"name" | "result" | "text", string>> & { readonly code?: string };

/** Nobody is asked to forget, and who was has ended. */
async function untilForgotten(host: BootedHost): Promise<void> {
  await until("the password is forgotten", async () => {
    const { ActiveState } = await host.unit("connector-otp", "ActiveState");
    return (
      ActiveState === "inactive" && (await host.run("ls /run/connector")).includes("otp-spent") === false
    );
  });
}

function otpOf(userData: string): string {
  const [otp] = /otp_\w+/.exec(userData) ?? [];
  if (otp === undefined) throw new Error("no password in the user-data");
  return otp;
}

function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}
