import { createLogger } from "../../protocol/node/log.ts";
import type { AdminPort } from "../core/admin.ts";
import { createApi } from "./api.ts";

/** The OpenAPI 3.1 text of the admin API, without a controller. */
export async function describeApi(version: string): Promise<object> {
  // Describing asks nothing of the controller: its handlers are made but never run.
  const admin = {} as AdminPort;
  await using api = await createApi({
    admin,
    version,
    log: createLogger({ name: "openapi", level: "silent" }),
  });
  return api.openapi;
}
