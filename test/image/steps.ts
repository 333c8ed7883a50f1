import assert from "node:assert/strict";
import type { Lab } from "../../lab/lab.ts";
import { planDevices } from "../../lab/plan.ts";
import { prove, seenAddress, shortcomings } from "../../lab/proof.ts";
import { waitFor } from "../../lab/wait.ts";
import { type Booted, viewOf, waitForView } from "./scene.ts";

export interface Scene {
  readonly lab: Lab;
  readonly first: Booted;
  /** Multiplies every time-out. */
  readonly patience: number;
  readonly say: (text: string) => void;
}

/** From power to Active. */
export async function enrols({ lab, first, patience, say }: Scene): Promise<void> {
  const seconds = () => ((performance.now() - first.switchedOnMs) / 1000).toFixed(1);
  const online = await waitForView(
    lab,
    first,
    "the instance to be Online",
    300_000 * patience,
    ({ status }) => {
      return status === "Online" || status === "Active";
    },
  );
  say(`${online.name} is ${online.status}, ${seconds()} s after power-on`);
  const set = { params: { instance: online.name }, body: first.plan.pools as never };
  await lab.controller.admin.call("instance.pools.set", set);
  await waitForView(
    lab,
    first,
    "the instance to be Active",
    60_000 * patience,
    ({ status }) => status === "Active",
  );
  say(`${online.name} is Active, ${seconds()} s after power-on`);
}

/** A user's device gets a page of a private application, which sees the leased address; a closed port stays closed. */
export async function attachesAndFetches({ lab, patience, say }: Scene): Promise<void> {
  for (const plan of planDevices(1)) await lab.addDevice(plan);
  await fetches({ lab, patience, say });
}

/** What the serial console shows to whoever has a shell there. */
export async function showsStatus({ first: { vm }, patience, say }: Scene): Promise<void> {
  await vm.console.ready(120_000 * patience);
  const status = await vm.console.run("connector status", 30_000 * patience);
  // 1: it works, and says what should be looked at. A machine of software alone is slow, and metadata may come late.
  assert.ok(status.code <= 1, status.text);
  assert.match(status.text, /^\S*aws-us-vir-con-00001\S*\s+\S*Active/m);
  say(`connector status over the serial console:\n${indented(status.text)}`);
  for (const [command, expected] of facts) {
    const { text } = await vm.console.run(command, 60_000 * patience);
    assert.match(text.trim(), expected, command);
  }
  for (const command of [
    "systemd-analyze",
    "systemd-analyze critical-chain --no-pager connector.service",
    "systemd-analyze blame --no-pager | head -20",
    "connector check",
  ]) {
    const { text } = await vm.console.run(command, 120_000 * patience);
    say(`${command}:\n${indented(text)}`);
  }
}

/** What the boot must have come to, by the command that shows it. */
const facts = [
  ["test -d /sys/firmware/efi && echo by UEFI", /^by UEFI$/],
  ["ip -details link show connector0 | grep -ow wireguard", /^wireguard$/],
  ["pgrep -c wireguard-go", /^0$/],
  ["systemctl is-system-running --wait", /^running$/],
  ["systemctl --failed --no-legend --plain", /^$/],
  ["cat /run/cloud-init/result.json", /"datasource": "DataSourceEc2Local[\s\S]*"errors": \[\]/],
  ["grep -c WARNING /var/log/cloud-init.log", /^0$/],
  // The spent password is gone from the only place of ours that had it.
  ["ls -A /run/credstore", /^$/],
  // The root has grown to the volume, 2 GiB here.
  ["findmnt -no SIZE /", /^(1\.9|2)G$/],
] as const;

/** The same instance with the same key, and its user's address, on the other side of a reboot. */
export async function rebootKeeps({ lab, first, patience, say }: Scene): Promise<void> {
  const before = await viewOf(lab, first);
  const leased = await leasesOf(lab);
  const fromMs = performance.now();
  const boots = (text: string) => text.split("Booting `Connector'").length;
  const bootsBefore = boots(first.vm.console.log());
  await first.vm.console.run("systemctl reboot", 60_000 * patience).catch(() => undefined);
  await waitFor("another boot", 200_000 * patience, () => boots(first.vm.console.log()) > bootsBefore);
  say(`rebooting, ${((performance.now() - fromMs) / 1000).toFixed(1)} s after it was told to`);
  const after = await waitForView(
    lab,
    first,
    "Active after the reboot",
    300_000 * patience,
    ({ status }) => status === "Active",
  );
  say(
    `${after.name} is Active again, ${((performance.now() - fromMs) / 1000).toFixed(1)} s after it was told to reboot`,
  );
  assert.equal(after.name, before?.name);
  await fetches({ lab, patience, say });
  assert.deepEqual(await leasesOf(lab), leased);
}

/** Two minutes before AWS takes it away. */
export async function spotNoticeDrains({ lab, first, patience, say }: Scene): Promise<void> {
  const fromMs = performance.now();
  first.machine.site.imds.spotNotice("terminate");
  const view = await waitForView(
    lab,
    first,
    "the instance to drain",
    60_000 * patience,
    ({ status }) => status === "Draining",
  );
  say(
    `${view.name} is ${view.status}, ${((performance.now() - fromMs) / 1000).toFixed(1)} s after the spot notice`,
  );
}

/** The disk of the first instance, in another one: it knows that it is a copy, and is nobody. */
export async function clonedDiskIsNobody({ lab, first, patience, say }: Scene, copy: Booted): Promise<void> {
  await copy.vm.console.ready(400_000 * patience);
  const shown = await waitFor("the copy to say that it is one", 120_000 * patience, async () => {
    const status = await copy.vm.console.run("connector status", 30_000 * patience);
    return status.text.includes("identity.cloned") ? status.text : undefined;
  });
  say(`a copy of the disk in another instance says:\n${indented(shown)}`);
  assert.equal(await viewOf(lab, copy), undefined);
  // Nor has it been taken for the other one, which is switched off.
  assert.equal((await viewOf(lab, first))?.status, "Offline");
}

async function fetches({ lab, patience, say }: Pick<Scene, "lab" | "patience" | "say">): Promise<void> {
  const proofs = await prove(lab, performance.now() + 120_000 * patience, AbortSignal.timeout(600_000));
  assert.deepEqual(proofs.flatMap(shortcomings), []);
  for (const { device, seen } of proofs) {
    const answers = [seen.ipv4, seen.ipv6].map(
      (told) => `${seenAddress(told)} in ${told.tookMs.toFixed(0)} ms`,
    );
    say(`${device} fetched a page, seen as ${answers.join(" and as ")}`);
  }
}

async function leasesOf(lab: Lab): Promise<unknown> {
  return (await lab.listDevices()).map(({ name, session }) => [name, session?.ipv4, session?.ipv6]);
}

function indented(text: string): string {
  return text.trim().replaceAll(/^/gm, "             ");
}
