import type { Argv } from "yargs";
import { softwareVersion } from "../../../protocol/node/software.ts";
import { exitCodes } from "../../../protocol/node/text.ts";
import { askOptions, type Cli } from "../options.ts";
import type { ServeFlags } from "../serve-config.ts";

/** `status`, `serve` and `openapi`: the controller itself. */
export function serveCommands(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .command(
      "serve",
      "Run the controller: links of agents and devices, and the admin API, on one port",
      (y) =>
        serveOptions(y)
          .example("$0 serve --config /etc/connector-controller/controller.yaml", "")
          .example(
            "$0 serve --listen 127.0.0.1:8443 --state-dir ./state --aws-certificates ./aws",
            "plain HTTP, to try it",
          )
          .epilogue(
            "The file has the fields listen, stateDir, tlsCert, tlsKey, awsCertificates, logLevel, agentHeartbeatMs, " +
              "deviceHeartbeatMs and settleMs, which options win over, and for failover linkGraceMs, returnGraceMs, " +
              "witnessesMin, pathGraceMs, holdDownMs, drainDeadlineMs, restartDrainMs and restartReturnMs. " +
              "SIGHUP reads the certificate again. Exit code 78: the configuration is wrong.",
          ),
      (o) => choose(async () => await (await import("../serve.ts")).serve(world, flagsOf(o))),
    )
    .command(
      "status",
      "How the group is, and what needs attention",
      (y) =>
        askOptions(y)
          .example("$0 status", "")
          .epilogue(
            "Exit code 1: a connector has no active instance, or an instance is Offline, has a condition worse than info, is " +
              "condemned by its devices, or has users for whom there is no other place.",
          ),
      (o) => choose(async () => (await import("../status.ts")).status(world, o)),
    )
    .command(
      "openapi",
      "Print the OpenAPI 3.1 description of the admin API",
      (y) => y.example("$0 openapi > openapi.json", ""),
      () =>
        choose(async () => {
          const { describeApi } = await import("../../api/describe.ts");
          world.print(`${JSON.stringify(await describeApi(softwareVersion), null, 2)}\n`);
          return exitCodes.fine;
        }),
    );
}

function serveOptions<T>(argv: Argv<T>) {
  const option = { type: "string", requiresArg: true } as const;
  const number = { type: "number", requiresArg: true } as const;
  return argv
    .option("config", { ...option, describe: "controller.yaml" })
    .option("listen", { ...option, describe: "host:port [0.0.0.0:8443]" })
    .option("state-dir", { ...option, describe: "Database and lock [/var/lib/connector-controller]" })
    .option("tls-cert", { ...option, describe: "Certificate chain, PEM" })
    .option("tls-key", { ...option, describe: "Its private key, PEM" })
    .option("aws-certificates", {
      ...option,
      describe:
        "Folder with AWS's certificates, REGION.pem each [/etc/connector-controller/aws-certificates]",
    })
    .option("log-level", { ...option, describe: "debug, info, warn, error or silent [info]" })
    .option("agent-heartbeat-ms", { ...number, describe: "How often agents ping [5000]" })
    .option("device-heartbeat-ms", { ...number, describe: "How often devices ping [20000]" })
    .option("settle-ms", {
      ...number,
      describe: "How long instances have after a start to return before anybody is placed [3000]",
    });
}

function flagsOf(o: ServeFlags): ServeFlags {
  const { config, listen, stateDir, tlsCert, tlsKey, awsCertificates, logLevel } = o;
  const { agentHeartbeatMs, deviceHeartbeatMs, settleMs } = o;
  const times = { agentHeartbeatMs, deviceHeartbeatMs, settleMs };
  return { config, listen, stateDir, tlsCert, tlsKey, awsCertificates, logLevel, ...times };
}
