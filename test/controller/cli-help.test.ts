import { expect, test } from "vitest";
import { runCli } from "../../controller/cli/program.ts";
import { textWidth } from "../../protocol/node/text.ts";
import { inTerminal } from "../support/terminal.ts";

async function help(...args: string[]): Promise<string> {
  const screen = () => ({ columns: 80, rows: 24 });
  const { code, out, err } = await inTerminal((world) => runCli([...args, "--help"], world), { screen });
  expect([code, err]).toEqual([0, ""]);
  return out;
}

/** The commands that a help text lists: `connector-controller otp create <connector>` → `create`. */
function commandsIn(text: string, above: readonly string[]): string[] {
  const prefix = ["connector-controller", ...above, ""].join(" ");
  const [, list = ""] = /\nCommands:\n([\s\S]*?)\n\n/.exec(text) ?? [];
  return list
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length).split(/\s/, 1)[0] ?? "");
}

async function leaves(above: readonly string[] = []): Promise<string[][]> {
  const commands = commandsIn(await help(...above), above);
  if (commands.length === 0) return [[...above]];
  return (await Promise.all(commands.map((command) => leaves([...above, command])))).flat();
}

test("every command is there", async () => {
  expect((await leaves()).map((command) => command.join(" "))).toEqual([
    "connector create",
    "connector list",
    "connector show",
    "connector update",
    "connector failover",
    "connector restart",
    "connector delete",
    "group create",
    "group list",
    "group delete",
    "resource add",
    "resource list",
    "resource remove",
    "instance list",
    "instance show",
    "instance pools set",
    "instance drain",
    "instance resume",
    "instance remove",
    "otp create",
    "otp list",
    "otp revoke",
    "user-data",
    "device-code create",
    "device-code list",
    "device-code revoke",
    "device list",
    "device show",
    "device remove",
    "session list",
    "session end",
    "audit list",
    "token create",
    "token list",
    "token revoke",
    "serve",
    "status",
    "openapi",
    "completion",
  ]);
});

test("every help has an example and fits 80 columns", async () => {
  // The help of `completion` is the script itself.
  const commands = (await leaves()).filter(([command]) => command !== "completion");
  for (const command of commands) {
    const text = await help(...command);
    expect(text, command.join(" ")).toContain("\nExamples:\n");
    const widest = Math.max(...text.split("\n").map(textWidth));
    expect(widest, `${command.join(" ")}\n${text}`).toBeLessThanOrEqual(80);
  }
});
