import { run as agent } from "./agent.bench.ts";
import type { Bench } from "./bench.ts";
import { run as codec } from "./codec.bench.ts";
import { run as controller } from "./controller.bench.ts";
import { run as grants } from "./grants.bench.ts";

/** Every bench by name, in the order of the report. */
export const benches: Readonly<Record<string, Bench>> = { grants, codec, agent, controller };
