import { vpcObstacle } from "../../lab/vpc/obstacle.ts";
import { noNamespaces } from "../support/namespaces.ts";
import { run as agent } from "./agent.bench.ts";
import { run as attach } from "./attach.bench.ts";
import type { Bench } from "./bench.ts";
import { run as codec } from "./codec.bench.ts";
import { run as controller } from "./controller.bench.ts";
import { run as datapath } from "./datapath.bench.ts";
import { run as datapathApply } from "./datapath-apply.bench.ts";
import { run as datapathForward } from "./datapath-forward.bench.ts";
import { run as failover } from "./failover.bench.ts";
import { run as grants } from "./grants.bench.ts";
import { run as group } from "./group.bench.ts";

/** Every bench by name, in the order of the report. */
export const benches: Readonly<Record<string, Bench>> = {
  grants,
  codec,
  agent,
  controller,
  failover,
  group,
  datapath,
  "datapath-forward": datapathForward,
  "datapath-apply": datapathApply,
  attach,
};

const noVpc = await vpcObstacle();

/** Why a bench cannot run here; undefined when it can. */
export const obstacles: Readonly<Record<string, string | undefined>> = {
  datapath: noNamespaces,
  "datapath-forward": noNamespaces,
  "datapath-apply": noNamespaces,
  attach: noVpc,
};
