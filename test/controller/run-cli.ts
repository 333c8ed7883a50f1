import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCli } from "../../controller/cli/program.ts";
import type { World } from "../../protocol/node/world.ts";
import { type Ended, inTerminal } from "../support/terminal.ts";
import type { Served } from "./served.ts";

/** Runs the controller's command line in this process. */
export function runHere(
  args: readonly string[],
  env: World["env"],
  now: World["now"] = Date.now,
): Promise<Ended> {
  return inTerminal((world) => runCli(args, world), { env, now });
}

/** What an administrator of it has in the environment. */
export function administratorOf({ url, ca, token, folder }: Served) {
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  return {
    CONNECTOR_URL: url,
    CONNECTOR_CA_FILE: file("ca.pem", ca),
    CONNECTOR_ADMIN_TOKEN_FILE: file("admin.token", `${token}\n`),
  };
}
