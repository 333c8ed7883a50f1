import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { failed, type Result, success } from "../../protocol/failures.ts";
import { exitCodes } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import { type AskOptions, refuse, show } from "./ask.ts";

export interface SecretOptions extends AskOptions {
  readonly out?: string | undefined;
  readonly quiet?: boolean | undefined;
}

/**
 * Makes something whose secret is shown this once: alone on standard output, so that `$(…)` takes it, the words about
 * it on standard error. The file is opened before anything is made: a secret that cannot be kept must not come into
 * being.
 */
export async function createSecret<C extends { readonly secret: string }>(
  world: World,
  options: SecretOptions,
  create: () => Promise<Result<C>>,
  textOf: (created: C) => string,
): Promise<number> {
  const file = options.out === undefined ? success(undefined) : openNew(options.out);
  if (!file.ok) return refuse(world, options, file.failure);
  const created = await create();
  if (!created.ok) {
    file.value?.discard();
    return refuse(world, options, created.failure);
  }
  const { secret, ...described } = created.value;
  const words = textOf(created.value);
  if (file.value !== undefined) {
    file.value.write(`${secret}\n`);
    show(world, options, described, () => `${words} The secret is in ${options.out}.`);
  } else if (options.output === "json") {
    show(world, options, created.value, () => "");
  } else {
    if (options.quiet !== true) world.complain(`${words} Keep the secret, it is shown only now:\n`);
    world.print(`${secret}\n`);
  }
  return exitCodes.fine;
}

interface NewFile {
  write(text: string): void;
  discard(): void;
}

function openNew(path: string): Result<NewFile> {
  try {
    const file = openSync(path, "wx", 0o600);
    return success({
      write: (text) => {
        writeSync(file, text);
        fsyncSync(file);
        closeSync(file);
      },
      discard: () => {
        closeSync(file);
        rmSync(path);
      },
    });
  } catch (error) {
    const problem = (error as NodeJS.ErrnoException).code ?? String(error);
    return failed("admin.file", { option: "--out", file: path, problem }, error);
  }
}
