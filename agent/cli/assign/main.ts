import { setTimeout as sleep } from "node:timers/promises";
import type { Family } from "../../../protocol/address.ts";
import { type Failure, failed, type Result, success } from "../../../protocol/failures.ts";
import { systemClock } from "../../../protocol/node/clock.ts";
import type { World } from "../../../protocol/node/world.ts";
import { Ec2 } from "../../adapters/ec2.ts";
import { Imds } from "../../adapters/imds.ts";
import { loadParameters } from "../../adapters/parameters.ts";
import type { Report } from "../page.ts";
import { families, type Plan, planned, type Wanted } from "./plan.ts";
import { type Outcome, outcomeReport, planReport } from "./report.ts";

export interface AssignOptions {
  readonly wanted: Wanted;
  readonly dryRun: boolean;
  /** The parameter file: on a host with several network interfaces its `ip` says which one. */
  readonly parameters: string;
}

/** The metadata service follows EC2 within seconds; so long it is waited for. */
const seenWithinMs = 30_000;
const lookEveryMs = 500;

/** Assigns prefixes to this instance's network interface: looks first, with requests that change nothing. */
export async function assignPrefixes(
  options: AssignOptions,
  world: Pick<World, "env" | "stop">,
  say: (line: string) => void,
): Promise<Result<Report>> {
  const parameters = loadParameters(options.parameters, world.env);
  const ip = parameters.ok ? parameters.value.ip : undefined;
  const imds = new Imds({ env: world.env, clock: systemClock, ip });
  const here = await readHere(imds);
  if (!here.ok) return here;
  const { interfaceId, region, instanceType } = here.value;
  const ec2 = new Ec2(region);
  const [now, slots] = await Promise.all([ec2.readInterface(interfaceId), ec2.readSlots(instanceType)]);
  if (!now.ok) return now;
  const plan = planned({
    interfaceId,
    wanted: options.wanted,
    now: now.value,
    slots: slots.ok ? slots.value : undefined,
  });
  if (!plan.ok) return plan;
  if (options.dryRun) return success(planReport(plan.value));
  const { assigned, failure } = await carryOut(plan.value, ec2);
  const given = [...assigned[4], ...assigned[6]];
  if (given.length === 0 && failure !== undefined) return { ok: false, failure };
  say(`EC2 assigned ${given.join(", ")}; waiting for the metadata service to show it`);
  const isSeen = await untilSeen(given, imds, world);
  return success(outcomeReport({ plan: plan.value, assigned, ...(failure && { failure }), isSeen }));
}

async function readHere(
  imds: Imds,
): Promise<Result<{ interfaceId: string; region: string; instanceType: string }>> {
  const [iface, region, instanceType] = await Promise.all([
    imds.readInterface(),
    imds.get("meta-data/placement/region"),
    imds.get("meta-data/instance-type"),
  ]);
  for (const answer of [iface, region, instanceType]) if (!answer.ok) return answer;
  if (!iface.ok || !region.ok || !instanceType.ok) return failed("internal", { where: "reading metadata" });
  if (region.value === undefined || instanceType.value === undefined) {
    return failed("imds.failing", { path: "latest/meta-data/placement/region", status: 404 });
  }
  const { interfaceId } = iface.value;
  return success({ interfaceId, region: region.value.trim(), instanceType: instanceType.value.trim() });
}

/** One family after the other; the first failure ends it, and what was assigned before stays. */
async function carryOut(plan: Plan, ec2: Ec2): Promise<Pick<Outcome, "assigned"> & { failure?: Failure }> {
  const assigned: Record<Family, readonly string[]> = { 4: [], 6: [] };
  for (const family of families) {
    if (plan.wanted[family] === 0) continue;
    const answer = await ec2.assign(plan.interfaceId, family, plan.wanted[family]);
    assigned[family] = answer.ok ? answer.value : await assignedAllTheSame(plan, family, answer.failure, ec2);
    if (!answer.ok && assigned[family].length < plan.wanted[family])
      return { assigned, failure: answer.failure };
  }
  return { assigned };
}

/** An answer that was lost says nothing about what EC2 did: it is asked what the interface has now. */
async function assignedAllTheSame({ interfaceId, now }: Plan, family: Family, failure: Failure, ec2: Ec2) {
  if (failure.code !== "aws.unreachable") return [];
  const after = await ec2.readInterface(interfaceId);
  if (!after.ok) return [];
  return after.value.prefixes[family].filter((text) => !now.prefixes[family].includes(text));
}

async function untilSeen(
  given: readonly string[],
  imds: Imds,
  { stop }: Pick<World, "stop">,
): Promise<boolean> {
  const untilMs = performance.now() + seenWithinMs;
  while (!stop.aborted) {
    const reading = await imds.readPrefixes();
    const shown = reading.is === "known" ? [...reading.ipv4, ...reading.ipv6] : [];
    if (given.every((text) => shown.includes(text))) return true;
    if (performance.now() >= untilMs) return false;
    await sleep(lookEveryMs, undefined, { signal: stop }).catch(() => undefined);
  }
  return false;
}
