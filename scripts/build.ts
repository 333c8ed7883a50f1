/**
 * Bundles what runs on an instance into plain JavaScript: `npm run build -- --help`. A bundle
 * starts in a third of the time and needs a fifth less memory than the sources, because what is not used of a library
 * is not loaded, and no types are stripped at the start. The packages are made of bundles: scripts/package.
 */
import { join } from "node:path";
import { type Plugin, rolldown } from "rolldown";
import yargs from "yargs";

const root = join(import.meta.dirname, "..");

const agent = {
  "connector-agent": join(root, "agent/main.ts"),
  connector: join(root, "agent/cli/main.ts"),
} as const;

const controller = { "connector-controller": join(root, "controller/cli/main.ts") } as const;

/**
 * An `import` of node:http reads every property of it, `WebSocket` too, and with that loads Node's whole fetch client:
 * 13 MB of which nothing is used. Taken as an object, it is as light as it was.
 */
const lightHttp: Plugin = {
  name: "light-http",
  resolveId: (source) => (/^(node:)?http$/.test(source) ? "\0light-http" : null),
  load: (id) =>
    id === "\0light-http"
      ? `const http = process.getBuiltinModule("node:http");
         export const { Agent, createServer, get, request, STATUS_CODES } = http;
         export default http;`
      : null,
};

/** V8 keeps a source in one byte a character, unless one of them needs two: then all of them have two. */
const narrow: Plugin = {
  name: "narrow",
  generateBundle(_options, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type === "chunk") file.code = file.code.replace(/[\u0100-\uffff]/g, escaped);
    }
  },
};

function escaped(letter: string): string {
  return `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Writes the agent and its CLI. Throws what the bundler found wrong. Returns the npm packages that went into them. */
export function buildAgent(folder: string): Promise<readonly string[]> {
  return bundle(agent, [lightHttp, narrow], folder);
}

/** The controller and its CLI, which are one program. */
export function buildController(folder: string): Promise<readonly string[]> {
  return bundle(controller, [narrow], folder);
}

/** Writes the bundles with what they share beside them. */
async function bundle(input: Record<string, string>, plugins: Plugin[], folder: string): Promise<string[]> {
  const build = await rolldown({
    input,
    platform: "node",
    cwd: root,
    plugins,
    onLog(level, log) {
      if (level === "warn") throw new Error(log.message);
    },
  });
  const { output } = await build.write({
    dir: folder,
    format: "esm",
    entryFileNames: "[name].mjs",
    chunkFileNames: "shared/[name]-[hash].mjs",
  });
  await build.close();
  const modules = output.flatMap((file) => (file.type === "chunk" ? Object.entries(file.modules) : []));
  const used = modules.filter(([, { renderedLength }]) => renderedLength > 0).map(([path]) => path);
  return [...new Set(used.flatMap((path) => packageOf(path) ?? []))].sort();
}

/** The folder of the npm package that a module is of, from node_modules on; undefined for one of ours. */
function packageOf(path: string): string | undefined {
  return /node_modules\/((?:.*node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}

if (import.meta.main) {
  const { out } = await yargs(process.argv.slice(2))
    .scriptName("npm run build --")
    .usage("$0\n\nBundles the agent and its CLI, as the packages have them.")
    .option("out", {
      type: "string",
      requiresArg: true,
      default: join(root, "dist"),
      defaultDescription: "dist",
      describe: "Where to",
    })
    .strict()
    .parseAsync();
  await buildAgent(out);
}
