import { coreDefaults } from "../../controller/core/settings.ts";
import { check, Finding } from "./finding.ts";
import { happen, heal } from "./happen.ts";
import { whatIsWrong } from "./model.ts";
import type { Event, Scenario } from "./scenario.ts";
import { World } from "./world.ts";

export interface Outcome {
  /** What was said and when: the same for the same scenario. */
  readonly digest: number;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly finding: Finding | undefined;
  /** When it was found. */
  readonly atMs: number;
  readonly trace: readonly string[];
}

/** Backing off takes up to half a minute, silence of a device's link a minute; then everybody has to find their place. */
const quietWithinMs = 180_000;
const quietForMs = 10_000;
/** An instance that was condemned several times gets no sessions for so long, also when nobody else has an address. */
const heldDownForMs = coreDefaults.holdDownMs * 2 ** 5;

export function run(scenario: Scenario, isTraced = false): Outcome {
  const world = new World(scenario.shape, isTraced);
  let finding: Finding | undefined;
  try {
    live(world, scenario);
  } catch (error) {
    finding = error instanceof Finding ? error : new Finding(0, (error as Error).stack ?? String(error));
  }
  const { nowMs, steps } = world.agenda;
  const trace = world.trace ?? [];
  return { digest: world.digest, steps, simulatedMs: nowMs, finding, atMs: nowMs, trace };
}

function live(world: World, { events, healAtMs }: Scenario): void {
  const { agenda } = world;
  for (const event of events) schedule(world, event, healAtMs);
  world.start();
  agenda.runUntil(healAtMs);
  world.note(() => "healed");
  heal(world);
  becomeQuiet(world);
}

function schedule(world: World, event: Event, healAtMs: number): void {
  const { agenda } = world;
  agenda.at(event.atMs, () => {
    world.note(() => JSON.stringify(event));
    const end = happen(world, event);
    const endsAtMs = event.atMs + event.forMs;
    if (endsAtMs >= healAtMs) return;
    agenda.at(endsAtMs, () => {
      world.note(() => `over: ${event.is}`);
      end();
    });
  });
}

/** Invariants 11 and 12. */
function becomeQuiet(world: World): void {
  const { agenda, watchers } = world;
  const endMs = agenda.nowMs + quietWithinMs;
  let wrong = whatIsWrong(world);
  let loud: string[] = [];
  while (agenda.nowMs < endMs || (isAnyHeldDown(world) && agenda.nowMs < endMs + heldDownForMs)) {
    agenda.runUntil(agenda.nowMs + 1_000);
    wrong = whatIsWrong(world);
    if (wrong !== undefined) continue;
    watchers.talk.length = 0;
    agenda.runUntil(agenda.nowMs + quietForMs);
    loud = watchers.talk.filter((topic) => !isAftermath(topic) && !isKnocking(topic));
    wrong = whatIsWrong(world);
    if (wrong === undefined && loud.length === 0) return;
  }
  check(wrong === undefined, 12, () => wrong ?? "");
  check(
    loud.length === 0,
    11,
    () => `after ${quietWithinMs} ms there is still: ${[...new Set(loud)].join("; ")}`,
  );
}

function isAnyHeldDown({ controller }: World): boolean {
  const instances = controller.core?.viewsAt(controller.now).instances() ?? [];
  return instances.some(({ judgement }) => judgement?.is === "gone" && judgement.why === "devices");
}

/** Cool-downs end, conditions are no longer shown, a path that loses packets is doubted: told when it comes to it. */
function isAftermath(topic: string): boolean {
  if (topic.endsWith(": ack")) return true;
  const [, kinds] = /: state (.*)$/.exec(topic) ?? [];
  return (
    kinds?.split(" ").every((kind) => ["instance", "pool", "lease", "prefixes", "path"].includes(kind)) ??
    false
  );
}

/** Who finds the group full comes again every half minute. */
function isKnocking(topic: string): boolean {
  return /instance .*: (challenge|enrol|refused)$/.test(topic);
}
