import { setTimeout as sleep } from "node:timers/promises";
import type { Failure, FailureCode } from "../../protocol/failures.ts";
import { exitCodes } from "../../protocol/node/text.ts";
import { type World, watchFrame } from "../../protocol/node/world.ts";
import type { Answer, Asked, EndpointName } from "../api/endpoints.ts";
import type { Problem } from "../api/problem.ts";
import type { ControllerClient } from "./client.ts";
import { type ConnectionOptions, connectionOf } from "./connection.ts";

export interface AskOptions extends ConnectionOptions {
  readonly output: "text" | "json";
}

/** Calls one endpoint and prints its answer. Returns the exit code. */
export async function ask<Name extends EndpointName>(
  world: World,
  options: AskOptions,
  name: Name,
  asked: Asked<Name>,
  textOf: (answer: Answer<Name>, width: number | undefined) => string,
): Promise<number> {
  return await withClient(world, options, async (client) => {
    const answer = await client.call(name, asked);
    if (!answer.ok) return refuse(world, options, answer.failure);
    show(world, options, answer.value, (width) => textOf(answer.value, width));
    return exitCodes.fine;
  });
}

/** Like `ask`, again and again until Ctrl-C. A terminal is drawn over in place; a pipe gets one block after the other. */
export async function watch<Name extends EndpointName>(
  world: World,
  options: AskOptions & { readonly watch: number },
  name: Name,
  asked: Asked<Name>,
  textOf: (answer: Answer<Name>, width: number | undefined) => string,
): Promise<number> {
  return await withClient(world, options, async (client) => {
    while (!world.stop.aborted) {
      const answer = await client.call(name, asked);
      if (world.stop.aborted) break;
      if (options.output === "json") {
        world.print(`${JSON.stringify(answer.ok ? answer.value : errorOf(answer.failure))}\n`);
      } else {
        const screen = world.screen();
        const body = answer.ok ? textOf(answer.value, screen?.columns) : complaint(answer.failure);
        world.print(watchFrame(body, options.watch, world));
      }
      await sleep(options.watch * 1000, undefined, { signal: world.stop }).catch(() => undefined);
    }
    return exitCodes.fine;
  });
}

/** Loads the client only now: `--help` and the version must not wait for schemas. */
export async function withClient(
  world: World,
  options: AskOptions,
  use: (client: ControllerClient) => Promise<number>,
): Promise<number> {
  const connection = connectionOf(options, world);
  if (!connection.ok) return refuse(world, options, connection.failure);
  const { ControllerClient } = await import("./client.ts");
  return await use(new ControllerClient(connection.value));
}

export function show(
  world: World,
  options: AskOptions,
  value: unknown,
  textOf: (width: number | undefined) => string,
): void {
  const text = options.output === "json" ? JSON.stringify(value, null, 2) : textOf(world.screen()?.columns);
  world.print(`${text.trimEnd()}\n`);
}

/** Says what is wrong and what to do, and returns the exit code that fits. */
export function refuse(world: World, options: Pick<AskOptions, "output">, failure: Failure): number {
  if (options.output === "json") world.print(`${JSON.stringify(errorOf(failure), null, 2)}\n`);
  world.complain(complaint(failure));
  return exitCodeOf(failure.code);
}

/** Like `refuse`, for what was wrong before anybody was asked. */
export function misuse(world: World, options: Pick<AskOptions, "output">, failure: Failure): number {
  refuse(world, options, failure);
  return exitCodes.usage;
}

/** `  dns.primry: "10.0.0.2" is not a field. Did you mean primary?` */
export function problemLine({ field, value, problem, fix }: Problem): string {
  const given = value === undefined ? "" : ` ${JSON.stringify(value)}`;
  return `  ${field === "" ? "request" : field}:${given} ${problem}. ${fix}\n`;
}

function complaint(failure: Failure): string {
  const problems = problemsOf(failure).map(problemLine);
  const next = problems.length > 0 ? problems.join("") : `  → ${failure.hint}\n`;
  return `connector-controller: ${failure.message} [${failure.code}]\n${next}`;
}

function errorOf(failure: Failure) {
  const problems = problemsOf(failure);
  const { code, message, hint, facts } = failure;
  return { error: { code, message, hint, facts, ...(problems.length === 0 ? {} : { problems }) } };
}

/** Read by its field and not by its class, which would load the server's schemas. */
function problemsOf(failure: Failure): readonly Problem[] {
  return (failure as { problems?: readonly Problem[] }).problems ?? [];
}

/** Whether the controller was not heard, which it may be in a moment. */
export function isUnheard(code: FailureCode): boolean {
  return code === "admin.unreachable" || code === "admin.timeout";
}

function exitCodeOf(code: FailureCode): number {
  if (code === "admin.no-controller" || code === "admin.file") return exitCodes.usage;
  const isStranger = code === "admin.untrusted" || code === "admin.foreign";
  return isUnheard(code) || isStranger ? exitCodes.cannotTell : exitCodes.failed;
}
