import { cpus, loadavg } from "node:os";
import yargs from "yargs";
import { exitCodes } from "../../protocol/node/text.ts";
import { inRunFolder, isWithin, untilStopped } from "../program.ts";
import { Screen } from "../screen.ts";
import { vpcPlaceObstacle } from "../vpc-place.ts";
import { type Fault, faults } from "./faults.ts";
import { devicesMax, openStage } from "./open.ts";
import { calmText, isAsExpected, progressText, reportText } from "./report.ts";
import { type Ran, runFault, watchCalm } from "./run.ts";

const purpose = [
  "$0\n\nDoes to a group what happens to groups, one thing after the other, while every device asks a private application",
  "for a page every 20 ms, and measures for how long each was without an answer. Needs root: every machine is a network",
  "namespace. Exit 1 when a session is lost, somebody is moved who should not be, or an outage takes longer than promised.",
].join(" ");

const options = await yargs(process.argv.slice(2))
  .scriptName("npm run chaos --")
  .usage(purpose)
  .option("only", { type: "string", array: true, requiresArg: true, describe: "These faults, in this order" })
  .option("list", { type: "boolean", default: false, describe: "The faults there are" })
  .option("instances", { type: "number", default: 3, describe: "How many, 2 to 64" })
  .option("devices", { type: "number", default: 10, describe: "How many, 1 to 16 for each instance but one" })
  .option("calm", { type: "number", default: 5, describe: "How long to watch first with nothing done, s" })
  .option("output", {
    alias: "o",
    choices: ["text", "json"] as const,
    default: "text",
    describe: "What is printed in the end",
  })
  .option("keep", { type: "boolean", default: false, describe: "Keep the run folder: logs and state" })
  .check(({ instances }) => isWithin(instances, 2, 64) || "--instances is a number from 2 to 64")
  .check(
    ({ devices, instances }) =>
      isWithin(devices, 1, devicesMax(instances)) ||
      `--devices is a number from 1 to ${devicesMax(instances)}: what is left must have addresses for all`,
  )
  .check(({ calm }) => (calm >= 1 && calm <= 600) || "--calm is a number from 1 to 600")
  .check(
    ({ only = [] }) =>
      only.every((name) => faults.some((fault) => fault.name === name)) ||
      `--only takes ${faults.map(({ name }) => name).join(", ")}`,
  )
  .example("$0", "everything, in about five minutes")
  .example("$0 --only cable drain", "a silent death, then a drain")
  .example("$0 --instances 4 --devices 20 -o json > chaos.json", "progress goes to standard error then")
  .strict()
  .parseAsync();

const signal = untilStopped();
const screen = new Screen(options.output === "json" ? process.stderr : process.stdout);
if (options.list) {
  const width = Math.max(...faults.map(({ name }) => name.length));
  for (const { name, about } of faults) process.stdout.write(`${name.padEnd(width)}  ${about}\n`);
} else {
  const obstacle = await vpcPlaceObstacle();
  if (obstacle === undefined) {
    const { keep } = options;
    process.exitCode = await inRunFolder({ screen, signal, keep }, (folder) => run(folder, chosen()));
  } else {
    process.stderr.write(`There is nothing to measure without packets: ${obstacle}\n`);
    process.exitCode = exitCodes.cannotTell;
  }
}

async function run(folder: string, wanted: readonly Fault[]): Promise<number> {
  const { instances, devices, output } = options;
  const machine = `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}, load ${loadavg()[0]?.toFixed(1)}`;
  const ran: Ran[] = [];
  const say = (text: string) => screen.say(text);
  await using opened = await openStage({ folder, instances, devices, signal, say });
  const { stage } = opened;
  const calm = await watchCalm(stage, options.calm * 1_000);
  screen.print(calmText(calm));
  for (const fault of wanted) {
    ran.push(await runFault(stage, fault, calm.worstMs));
    say(ran.map(progressText).at(-1) ?? "");
  }
  const report = { machine, calm, ran };
  process.stdout.write(
    output === "json"
      ? `${JSON.stringify(report, undefined, 2)}\n`
      : `\n${reportText(report, screen.width)}\n`,
  );
  return isAsExpected(ran) ? exitCodes.fine : exitCodes.failed;
}

function chosen(): readonly Fault[] {
  const { only } = options;
  return only === undefined
    ? faults
    : only.flatMap((name) => faults.find((fault) => fault.name === name) ?? []);
}
