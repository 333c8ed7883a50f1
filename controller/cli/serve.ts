import { exitCodes } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import { serve as serveController } from "../main.ts";
import { problemLine } from "./ask.ts";
import { readServeConfig, type ServeFlags } from "./serve-config.ts";

/** Runs the controller until SIGTERM, or tells everything that is wrong with its configuration. */
export async function serve(world: World, flags: ServeFlags): Promise<number> {
  const config = readServeConfig(flags);
  if (!config.ok) {
    world.complain("connector-controller: the configuration is wrong; nothing was started\n");
    for (const problem of config.problems) world.complain(problemLine(problem));
    return exitCodes.configuration;
  }
  return await serveController({
    ...config.value,
    rereadTls: () => {
      const again = readServeConfig(flags);
      return again.ok ? again.value.tls : undefined;
    },
  });
}
