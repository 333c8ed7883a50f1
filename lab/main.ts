import { join } from "node:path";
import yargs from "yargs";
import { exitCodes } from "../protocol/node/text.ts";
import { writeEnvironment } from "./hints.ts";
import { loopbackPlace } from "./loopback.ts";
import type { Place } from "./place.ts";
import { servePlays } from "./play-server.ts";
import { inRunFolder, isWithin, untilStopped } from "./program.ts";
import { Screen } from "./screen.ts";
import { showLive, showOnce } from "./show.ts";
import { startLab } from "./start.ts";
import { VpcPlace, vpcPlaceObstacle } from "./vpc-place.ts";

const purpose = [
  "$0\n\nThe product on this machine: a controller, the instances of one active-active connector on emulated EC2",
  "instances, and devices of two groups, all as real processes; as root, on machines of their own (network namespaces)",
  "with private applications that the devices reach. Shows instances and traffic until Ctrl-C, which ends everything.",
].join(" ");

const options = await yargs(process.argv.slice(2))
  .scriptName("npm start --")
  .usage(purpose)
  .option("once", {
    type: "boolean",
    default: false,
    describe:
      "End when all are attached and each device has reached an application (exit 0), or after 60 s (exit 1)",
  })
  .option("loopback", { type: "boolean", default: false, describe: "No packets, only the control path" })
  .option("keep", { type: "boolean", default: false, describe: "Keep the run folder: logs and state" })
  .option("instances", { type: "number", default: 3, describe: "How many, 1 to 64" })
  .option("devices", { type: "number", default: 10, describe: "How many, 0 to 100" })
  .check(({ instances }) => isWithin(instances, 1, 64) || "--instances is a number from 1 to 64")
  .check(({ devices }) => isWithin(devices, 0, 100) || "--devices is a number from 0 to 100")
  .strict()
  .parseAsync();

const signal = untilStopped();
/** How long the lab may take until it carries traffic, from here. */
const readyByMs = performance.now() + 60_000;
const screen = new Screen(process.stdout);
process.exitCode = await inRunFolder({ screen, signal, keep: options.keep }, run);

async function run(folder: string): Promise<number> {
  const { instances, devices } = options;
  const say = (text: string) => screen.say(text);
  const place = openPlace(join(folder, "hosts"), say);
  await using lab = await startLab({ folder, place, instances, devices, signal, say });
  if (options.once) return await showOnce(lab, screen, { readyByMs, signal });
  await writeEnvironment(lab);
  await using _ = await servePlays(lab, join(folder, "lab.sock"));
  await showLive(lab, screen, { readyByMs, signal });
  return exitCodes.fine;
}

/** A VPC where there can be one. */
async function openPlace(folder: string, say: (text: string) => void): Promise<Place> {
  const obstacle = options.loopback ? "--loopback" : await vpcPlaceObstacle();
  const place = obstacle === undefined ? await VpcPlace.open(folder) : loopbackPlace(obstacle);
  say(place.about);
  return place;
}
