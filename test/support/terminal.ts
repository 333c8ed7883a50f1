import type { World } from "../../protocol/node/world.ts";

/** How a command ended, and what a person would have seen of it. */
export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process. In a pipe, with nothing in the environment, unless told otherwise. */
export async function inTerminal(
  run: (world: World) => Promise<number>,
  over: Partial<World> & { readonly onPrint?: (text: string) => void } = {},
): Promise<Ended> {
  let [out, err] = ["", ""];
  const { onPrint, ...world } = over;
  const code = await run({
    env: {},
    now: Date.now,
    screen: () => undefined,
    print: (text) => {
      out += text;
      onPrint?.(text);
    },
    complain: (text) => {
      err += text;
    },
    stop: new AbortController().signal,
    ...world,
  });
  return { code, out, err };
}
