import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

/** Who may import what. The first rule whose `from` fits a file is its rule. */
interface Rule {
  readonly from: RegExp;
  /** Files of ours that may be imported. */
  readonly ours: RegExp;
  /** Packages and Node modules that may be imported; all when absent. */
  readonly theirs?: RegExp;
  readonly why: string;
}

const part = (name: string): Rule[] => [
  {
    from: new RegExp(`^${name}/core/`),
    ours: new RegExp(`^(${name}/core/|protocol/[^/]+$)`),
    theirs: /^zod$/,
    why: "a core decides and does nothing: no Node, no clock, no randomness, no logging, so that a simulated world can run it",
  },
  {
    from: new RegExp(`^${name}/adapters/`),
    ours: new RegExp(`^(${name}/(adapters|core)/|protocol/)`),
    why: "an adapter knows its core's ports and one outside thing, never another part",
  },
  {
    from: new RegExp(`^${name}/`),
    ours: new RegExp(`^(${name}/|protocol/)`),
    why: "agent, controller and device meet only over the wire; whoever needs the other's code has found something for protocol",
  },
];

const rules: readonly Rule[] = [
  {
    from: /^protocol\/node\//,
    ours: /^(protocol\/|package\.json$)/,
    why: "adapters that the parts share know only the contract, and the one place where the version stands",
  },
  {
    from: /^protocol\//,
    ours: /^protocol\/[^/]+$/,
    theirs: /^(zod|ip-address)$/,
    why: "the contract is pure and depends on nobody, so that both sides and every core can depend on it",
  },
  ...part("agent"),
  ...part("controller"),
  ...part("device"),
  {
    from: /^cloud-init\/terraform\/hook\//,
    ours: /^cloud-init\/terraform\/hook\//,
    theirs: /^(node:|@aws-sdk\/)/,
    why: "it runs as it is in AWS Lambda, which has Node and AWS's clients and nothing of ours",
  },
  { from: /^(lab|test|scripts|[^/]+$)/, ours: /./, why: "lab, scripts and tests may use anything" },
];

const files = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts", "*.mjs"],
  {
    encoding: "utf8",
  },
)
  .split("\n")
  .filter((file) => file !== "" && existsSync(file));

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s*"([^"]+)"|import\(\s*"([^"]+)"\s*\)|(?:^|\n)import\s+"([^"]+)"/g;

function importsOf(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(importPattern)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? "",
  );
}

describe("imports point the right way", () => {
  test("every file has a rule", () => {
    expect(files.filter((file) => !rules.some((rule) => rule.from.test(file)))).toEqual([]);
  });

  test.each(rules.map((rule) => [rule.from.source, rule] as const))("%s", (_name, rule) => {
    const wrong = files
      .filter((file) => rules.find((candidate) => candidate.from.test(file)) === rule)
      .flatMap((file) => importsOf(file).map((name) => ({ file, name })))
      .filter(({ file, name }) => {
        if (name.startsWith(".")) return !rule.ours.test(normalize(join(dirname(file), name)));
        return rule.theirs !== undefined && !rule.theirs.test(name);
      })
      .map(({ file, name }) => `${file} imports ${name}`);
    expect(wrong, rule.why).toEqual([]);
  });

  test("nothing that ships imports lab, scripts or test", () => {
    const shipped = files.filter((file) => /^(agent|controller|device|protocol)\//.test(file));
    const wrong = shipped.filter((file) =>
      importsOf(file).some((name) => /\.\.\/(lab|scripts|test)\//.test(name)),
    );
    expect(wrong, "what runs at a customer must not need what only we have").toEqual([]);
  });
});

test("a core reads no clock and draws no randomness", () => {
  const impure =
    /\b(Date\.now|new Date\(\)|performance\.|Math\.random|setTimeout|setInterval|setImmediate|process\.|console\.|await |async )/;
  const wrong = files
    .filter((file) => /^((agent|controller|device)\/core|protocol)\/[^/]+\.ts$/.test(file))
    .flatMap((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .map((line, i) => ({ line, at: `${file}:${i + 1}` }))
        .filter(({ line }) => !/^\s*(\*|\/\/|\/\*)/.test(line) && impure.test(line.replace(/"[^"]*"/g, "")))
        .map(({ at, line }) => `${at}: ${line.trim()}`),
    );
  expect(wrong).toEqual([]);
});

test("no file outgrows one idea", () => {
  const long = files
    .filter(
      (file) =>
        /^(agent|controller|device|protocol|lab|scripts)\//.test(file) && file !== "protocol/catalogue.ts",
    )
    .map((file) => ({ file, lines: readFileSync(file, "utf8").split("\n").length }))
    .filter(({ lines }) => lines > 300);
  expect(long).toEqual([]);
});
