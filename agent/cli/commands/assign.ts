import type { Argv } from "yargs";
import type { World } from "../../../protocol/node/world.ts";
import { outputOptions } from "../options.ts";
import { type ShowOptions, showOnce } from "../show.ts";
import type { Choose } from "./choose.ts";

/** As many as the largest instance types take on an interface. */
const countMax = 49;

interface AssignArguments extends Omit<ShowOptions, "watch"> {
  readonly ipv4: number;
  readonly ipv6: number;
  readonly "dry-run": boolean;
  readonly parameters: string;
}

/** `prefixes assign`: the one command that changes something in AWS. It needs no agent. */
export function withAssign<T>(argv: Argv<T>, world: World, choose: Choose) {
  return argv.command(
    "assign",
    "Assign further prefixes to this instance's network interface in EC2",
    (y) =>
      outputOptions(y)
        .option("ipv4", countOption("/28"))
        .option("ipv6", countOption("/80"))
        .option("dry-run", {
          type: "boolean",
          default: false,
          describe: "Ask EC2 whether it could be, and change nothing",
        })
        .option("parameters", {
          type: "string",
          requiresArg: true,
          default: "/run/connector-boot/enroll.yaml",
          describe: "The parameter file; its ip picks the interface",
        })
        .check(({ ipv4, ipv6 }) => {
          if (ipv4 + ipv6 > 0) return true;
          throw new Error("say how many: --ipv4 N, --ipv6 N, or both");
        })
        .example("$0 prefixes assign --ipv4 2 --ipv6 1 --dry-run", "is there room, and is it allowed?")
        .example("$0 prefixes assign --ipv4 2 --ipv6 1", "32 more IPv4 addresses, and a /80")
        .epilogue(
          "Needs ec2:AssignPrivateIpAddresses, ec2:AssignIpv6Addresses, ec2:DescribeNetworkInterfaces and ec2:DescribeInstanceTypes (the last may be missing). Exit code 1: not everything was assigned. 2: nothing was.",
        ),
    (o) => choose(async () => await assign(o, world)),
  );
}

async function assign(o: AssignArguments, world: World): Promise<number> {
  const { assignPrefixes } = await import("../assign/main.ts");
  const say = (line: string) => world.complain(`${line}\n`);
  const options = { wanted: { 4: o.ipv4, 6: o.ipv6 }, dryRun: o["dry-run"], parameters: o.parameters };
  return showOnce(await assignPrefixes(options, world, say), o, world);
}

function countOption(size: string) {
  return {
    type: "string",
    requiresArg: true,
    default: "0",
    describe: `How many ${size} more`,
    coerce: (text: string): number => {
      const count = Number(text);
      if (Number.isInteger(count) && count >= 0 && count <= countMax) return count;
      throw new Error(`a number of prefixes is 0 to ${countMax}, not ${text}`);
    },
  } as const;
}
