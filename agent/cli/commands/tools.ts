import type { Argv } from "yargs";
import { type Failure, success } from "../../../protocol/failures.ts";
import type { World } from "../../../protocol/node/world.ts";
import { askOptions, hostOptions, outputOptions, shown } from "../options.ts";
import { show, showOnce } from "../show.ts";
import type { Choose } from "./choose.ts";

/** An hour: longer than any boot. */
const waitSecondsMax = 3600;

function waitSeconds(text: string): number {
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= waitSecondsMax) return seconds;
  throw new Error(`--wait takes whole seconds from 0 to ${waitSecondsMax}, not ${text}`);
}

/** The commands that need no agent. */
export function withTools(argv: Argv, world: World, choose: Choose): Argv {
  return argv
    .command("otp", "Bring the one-time password from where it is kept: fetch", (y) =>
      y.demandCommand(1, "name an action").command(
        "fetch <reference>",
        "Read the one-time password with this instance's role",
        (z) =>
          outputOptions(z)
            .positional("reference", {
              type: "string",
              demandOption: true,
              describe: "ssm:NAME, secretsmanager:ID, or secretsmanager:ID#KEY",
            })
            .option("out", {
              type: "string",
              requiresArg: true,
              describe: "Write it to this file (0600) and do not print it",
            })
            .option("wait", {
              type: "string",
              requiresArg: true,
              default: "0",
              describe: "Seconds to wait until it is there",
              coerce: waitSeconds,
            })
            .example("$0 otp fetch ssm:/connector/prod --out /run/credstore/connector.otp", "in user-data")
            .example("$0 otp fetch 'ssm:/connector/prod/{instance-id}' --wait 600", "one for each instance")
            .epilogue(
              "Needs ssm:GetParameter (with kms:Decrypt for its key), or secretsmanager:GetSecretValue.",
            ),
        (o) =>
          choose(async () => {
            const { fetchOtp } = await import("../otp/main.ts");
            const options = { reference: o.reference, out: o.out, waitSeconds: o.wait };
            const say = ({ message, hint }: Failure) =>
              world.complain(`connector: ${message}\n  → ${hint}\n  Trying again for ${o.wait} s at most.\n`);
            return showOnce(await fetchOtp(options, world, say), o, world);
          }),
      ),
    )
    .command(
      "check",
      "Look at the host and the way to the controller, without the agent",
      (y) =>
        hostOptions(outputOptions(y))
          .example("sudo $0 check", "everything; some files are root's")
          .epilogue("Exit code 1: a line says FAIL or warn."),
      (o) =>
        choose(async () => {
          const { checkHost } = await import("../check/main.ts");
          const host = { parameters: o.parameters, stateDir: o.stateDir, env: world.env };
          return await show(async () => success(await checkHost(host)), shown(o), world);
        }),
    )
    .command(
      "support-bundle",
      "Gather what support needs, without secrets",
      (y) =>
        hostOptions(askOptions(y, world.env))
          .option("out", {
            type: "string",
            requiresArg: true,
            describe: "File to write [connector-….tar.gz]",
          })
          .option("anonymise", { type: "boolean", default: false, describe: "Replace users' names" })
          .example("sudo $0 support-bundle --anonymise", "to send to somebody else")
          .epilogue(
            "Keys and one-time passwords are never in it. Exit code 1: a part could not be gathered.",
          ),
      (o) =>
        choose(async () => {
          const { supportBundle } = await import("../bundle/main.ts");
          return await show(() => supportBundle(o, world), shown(o), world);
        }),
    );
}
