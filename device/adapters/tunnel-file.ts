import { join } from "node:path";
import { z } from "zod";
import { Code, Epoch, EpochMs, Id, Key32, Name } from "../../protocol/names.ts";
import { readFileIfThere, writeFileDurably } from "../../protocol/node/files.ts";
import { startOf } from "../../protocol/node/processes.ts";

const Names = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("none") }),
  z.object({ kind: z.literal("resolvectl") }),
  z.object({ kind: z.literal("file"), path: z.string() }),
]);

const TunnelOn = z.object({
  state: z.literal("on"),
  interface: z.string(),
  names: Names,
  backend: z.enum(["kernel", "userspace"]).nullable(),
  /** The path that carries the traffic, and what its probe says. */
  path: z
    .object({
      session: Id,
      epoch: Epoch,
      instance: Name,
      wireguardKey: Key32,
      verdict: z.object({ is: z.enum(["alive", "dead"]), sinceMs: EpochMs }).nullable(),
    })
    .nullable(),
  problem: z.object({ code: Code, text: z.string() }).nullable(),
});

const TunnelStatus = z.discriminatedUnion("state", [
  TunnelOn,
  z.object({ state: z.literal("off"), why: Code.nullable() }),
]);
/** The tunnel as the running device says it, for `status` and `logout`. */
export type TunnelStatus = z.infer<typeof TunnelStatus>;
export type TunnelOn = z.infer<typeof TunnelOn>;

const Writer = z.object({ pid: z.int().positive(), startedAt: z.string() });
const Content = z.object({ format: z.literal(1), writer: Writer, tunnel: TunnelStatus });

/** `tunnel.json` of the state directory: one small file, replaced whole. It decides nothing; who reads it sees what was. */
export class TunnelFile {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, "tunnel.json");
  }

  /** @throws the file system's error. */
  write(tunnel: TunnelStatus): void {
    const writer = { pid: process.pid, startedAt: startOf(process.pid) ?? "" };
    const content: z.input<typeof Content> = { format: 1, writer, tunnel };
    writeFileDurably(this.#path, `${JSON.stringify(content, undefined, 2)}\n`);
  }

  /** What was written last, and whether the process that wrote it runs; undefined when there is nothing to read. */
  read(): { readonly tunnel: TunnelStatus; readonly runs: boolean } | undefined {
    try {
      const content = Content.safeParse(JSON.parse(readFileIfThere(this.#path) ?? ""));
      if (!content.success) return undefined;
      const { writer, tunnel } = content.data;
      return { tunnel, runs: startOf(writer.pid) === writer.startedAt };
    } catch {
      return undefined;
    }
  }
}
