import { setTimeout as sleep } from "node:timers/promises";
import { failed, type Result } from "../../protocol/failures.ts";
import type { World } from "../../protocol/node/world.ts";
import type { Answer, Asked, EndpointName } from "../api/endpoints.ts";
import { isUnheard } from "./ask.ts";
import type { ControllerClient } from "./client.ts";

const everyMs = 250;
/** So long a controller may be away in between: restarting is no end. */
const silentMs = 60_000;

export interface Polling<Name extends EndpointName> {
  readonly name: Name;
  readonly asked: Asked<Name>;
  readonly isOver: (answer: Answer<Name>) => boolean;
  /** Told of every answer, with the last one. */
  readonly onAnswer: (answer: Answer<Name>) => void;
  /** Given up after so long, with the last answer; undefined: never. */
  readonly forMs?: number | undefined;
}

/** Asks again and again until it is over, the time is up, or Ctrl-C; returns the last answer. */
export async function poll<Name extends EndpointName>(
  world: World,
  client: ControllerClient,
  { name, asked, isOver, onAnswer, forMs = Number.POSITIVE_INFINITY }: Polling<Name>,
): Promise<Result<Answer<Name>>> {
  const begunMs = performance.now();
  let heardMs = begunMs;
  let last: Result<Answer<Name>> = failed("admin.unreachable");
  let isDown = false;
  for (;;) {
    const answer = await client.call(name, asked);
    const nowMs = performance.now();
    if (answer.ok) {
      last = answer;
      [heardMs, isDown] = [nowMs, false];
      onAnswer(answer.value);
      if (isOver(answer.value)) return answer;
    } else if (!isUnheard(answer.failure.code) || nowMs - heardMs >= silentMs) return answer;
    else if (!isDown) {
      isDown = true;
      world.complain(`connector-controller: ${answer.failure.message}; trying again\n`);
    }
    if (nowMs - begunMs >= forMs || world.stop.aborted) return last.ok ? last : answer;
    await sleep(everyMs, undefined, { signal: world.stop }).catch(() => undefined);
  }
}
