import { setTimeout as sleep } from "node:timers/promises";
import type { Failure, Result } from "../../protocol/failures.ts";
import { duration, exitCodes } from "../../protocol/node/text.ts";
import { type World, watchFrame } from "../../protocol/node/world.ts";
import { type Page, painter, paragraph, type Report } from "./page.ts";

export interface ShowOptions {
  readonly output: "text" | "json";
  readonly color: "auto" | "never";
  /** Seconds between two looks; undefined for one look. */
  readonly watch: number | undefined;
}

/** Prints what `ask` finds, once or until stopped, and returns the exit code. */
export async function show(
  ask: () => Promise<Result<Report>>,
  options: ShowOptions,
  world: World,
): Promise<number> {
  if (options.watch !== undefined) return await watch(ask, options.watch, options, world);
  return showOnce(await ask(), options, world);
}

/** Prints one answer, and returns the exit code. */
export function showOnce(answer: Result<Report>, options: Omit<ShowOptions, "watch">, world: World): number {
  if (answer.ok) {
    const { value } = answer;
    world.print(
      options.output === "json"
        ? `${JSON.stringify(value.json, null, 2)}\n`
        : value.text(page(options, world)),
    );
    return value.exitCode;
  }
  if (options.output === "json") world.print(`${JSON.stringify(failureJson(answer.failure), null, 2)}\n`);
  world.complain(failureText(answer.failure, page(options, world)));
  return exitCodes.cannotTell;
}

/** Says what is wrong and what to do about it. */
export function failureText(failure: Failure, { width, paint }: Pick<Page, "width" | "paint">): string {
  const what = paragraph(`${failure.message}`, width, "connector: ");
  return `${paint("red", what)}\n${paragraph(failure.hint, width, "  → ")}\n`;
}

/** The terminal is drawn over in place; a pipe gets one block or JSON line after the other. Ended by Ctrl-C: 0. */
async function watch(
  ask: () => Promise<Result<Report>>,
  seconds: number,
  options: ShowOptions,
  world: World,
): Promise<number> {
  let answeredMs: number | undefined;
  while (!world.stop.aborted) {
    const answer = await ask();
    if (world.stop.aborted) break;
    const nowMs = world.now();
    if (answer.ok) answeredMs = nowMs;
    if (options.output === "json") {
      world.print(`${JSON.stringify(answer.ok ? answer.value.json : failureJson(answer.failure))}\n`);
    } else {
      const laidOut = page(options, world);
      const silence = answeredMs === undefined ? "" : `Last answer ${duration(nowMs - answeredMs)} ago.\n`;
      const body = answer.ok
        ? answer.value.text(laidOut)
        : `${failureText(answer.failure, laidOut)}${silence}`;
      world.print(watchFrame(body, seconds, world));
    }
    await sleep(seconds * 1000, undefined, { signal: world.stop }).catch(() => undefined);
  }
  return exitCodes.fine;
}

function page({ color }: Pick<ShowOptions, "color">, world: World): Page {
  const screen = world.screen();
  const noColor = color === "never" || screen === undefined || (world.env.NO_COLOR ?? "") !== "";
  return { width: screen?.columns, nowMs: world.now(), paint: painter(!noColor) };
}

function failureJson(failure: Failure) {
  return { error: { code: failure.code, text: failure.message, hint: failure.hint } };
}
