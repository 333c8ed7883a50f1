/** Boots the machine image under qemu, in the lab's VPC: `npm run test:image -- --help`. */
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import yargs from "yargs";
import { Lab } from "../../lab/lab.ts";
import { planInstances } from "../../lab/plan.ts";
import { keepRunFolder, makeRunFolder, removeRunFolder } from "../../lab/run-folder.ts";
import { uefiFirmware } from "../../lab/vm/machine.ts";
import { VpcPlace, vpcPlaceObstacle } from "../../lab/vpc-place.ts";
import packageFile from "../../package.json" with { type: "json" };
import { root, setUpDebianPackages } from "../../scripts/setup.mjs";
import { type Booted, boot } from "./scene.ts";
import {
  attachesAndFetches,
  clonedDiskIsNobody,
  enrols,
  rebootKeeps,
  showsStatus,
  spotNoticeDrains,
} from "./steps.ts";

const purpose = [
  "$0\n\nBoots the machine image under qemu, in the lab's VPC, as root. Firmware, kernel, systemd, cloud-init, the kernel's",
  "WireGuard and the packaged agent are what AWS would run; the metadata service, the network and the controller are the",
  "lab's. Prints what was seen and when; exits with 1, and names the console's log, when something was not as it should be.",
].join(" ");
const stepNames = ["enrol", "traffic", "status", "reboot", "spot", "clone"] as const;
const values = await yargs(process.argv.slice(2))
  .scriptName("npm run test:image --")
  .usage(purpose)
  .option("image", {
    type: "string",
    requiresArg: true,
    default: join(root, `dist/image/connector-${packageFile.version}-amd64.raw`),
    defaultDescription: "dist/image/connector-VERSION-amd64.raw",
    describe: "The raw disk; it stays as it is",
  })
  .option("until", { choices: stepNames, default: "clone", describe: "Leaves out what comes after" })
  .option("patience", {
    type: "number",
    requiresArg: true,
    default: 1,
    describe: "Multiplies every time-out",
  })
  .check(({ patience }) => patience > 0 || "--patience is a number above 0")
  .example("$0", "everything, in about eight minutes")
  .example("$0 --until enrol --patience 3", "only that it comes up, on a slow machine")
  .strict()
  .parseAsync();
setUpDebianPackages({
  "qemu-system-x86_64": "qemu-system-x86",
  "qemu-img": "qemu-utils",
  [uefiFirmware]: "ovmf",
});
const obstacle = existsSync(values.image) ? await vpcPlaceObstacle() : `no ${values.image}: npm run image`;
if (obstacle !== undefined) {
  console.error(`test:image: ${obstacle}`);
  process.exit(1);
}

const startedAt = performance.now();
const folder = makeRunFolder();
const machines: Booted[] = [];
let failure: unknown;
{
  await using lab = await Lab.start({ folder, place: VpcPlace.open(folder) });
  try {
    const [plan, planOfCopy] = planInstances(2);
    if (plan === undefined || planOfCopy === undefined) throw new RangeError("no plans");
    const { image, patience } = values;
    const first = await boot({ lab, folder, plan, firmware: "uefi", image, otp: true });
    machines.push(first);
    const scene = { lab, first, patience, say };
    const copy = join(folder, "copy.qcow2");
    const steps = {
      enrol: () => enrols(scene),
      traffic: () => attachesAndFetches(scene),
      status: () => showsStatus(scene),
      reboot: async () => {
        await rebootKeeps(scene);
        first.vm.pause();
        copyFileSync(first.disk, copy);
        first.vm.resume();
      },
      spot: () => spotNoticeDrains(scene),
      clone: async () => {
        await first.vm[Symbol.asyncDispose]();
        const its = { plan: planOfCopy, firmware: "bios", disk: copy, otp: false } as const;
        const second = await boot({ lab, folder, image, ...its });
        machines.push(second);
        await clonedDiskIsNobody(scene, second);
      },
    };
    for (const name of stepNames) {
      await steps[name]();
      if (name === values.until) break;
    }
  } catch (error) {
    failure = error;
  }
  await Promise.all(machines.map(({ vm }) => vm[Symbol.asyncDispose]()));
}
if (failure === undefined) {
  removeRunFolder(folder);
  say("done");
} else {
  keepRunFolder(folder);
  console.error(failure);
  for (const { vm } of machines) console.error(`console: ${vm.console.logFile}`);
  process.exitCode = 1;
}

function say(text: string): void {
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${text}`);
}
