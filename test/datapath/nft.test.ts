import { chownSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { forgetConnections } from "../../agent/adapters/conntrack.ts";
import { Nft } from "../../agent/adapters/nft.ts";
import { NftTable } from "../../agent/adapters/nft-table.ts";
import { type Firewall, firewallOf } from "../../agent/core/firewall.ts";
import { learnedSets } from "../../agent/core/firewall-learned.ts";
import { markText } from "../../agent/core/firewall-marks.ts";
import { changeText, tableText } from "../../agent/core/firewall-text.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { temporaryFolder } from "../support/folder.ts";
import { testLog } from "../support/log.ts";
import { FirewallHost, noFirewall } from "./firewall-hosts.ts";
import { peer, planOf, service, somePlan, tunnel } from "./firewall-plans.ts";

const services = [
  service("web é 日本", "*.app.internal", "tcp 80 443", ["sales"]),
  service("everything", "10.0.0.0/8", "any", ["sales", "admins"], { serverInitiated: true }),
  service("databases", "10.1.0.0/16", "tcp 5432-5440", ["admins"]),
  service("ping", "fd00:7::/64", "icmp", ["admins"]),
];
const both = firewallOf(planOf([peer(1, "sales"), peer(2, "admins")], services), tunnel);
const someMark = markText([...both.marks][0] ?? 0);
const [web4] = learnedSets("app.internal");

describe.skipIf(noFirewall !== undefined)(`table (${noFirewall ?? "in the kernel"})`, () => {
  let host: FirewallHost;
  beforeEach(() => {
    host = new FirewallHost();
  });
  afterEach(() => host[Symbol.dispose]());

  async function applied(table: NftTable, firewall: Firewall): Promise<void> {
    const result = await table.apply(firewall);
    if (!result.ok) throw result.failure;
  }

  async function driftOf(table: NftTable): Promise<readonly string[]> {
    const drift = await table.drift();
    if (!drift.ok) throw drift.failure;
    return drift.value;
  }

  const listing = async () => (await host.must("nft", "-s", "list", "ruleset")).split("\n").sort();
  const nft = (...words: string[]) => host.must("nft", ...words);
  const tableWarnings = () => host.log.lines.filter(({ level }) => level !== "info");

  test("the kernel takes the whole text and every change between two plans, and both ways lead to the same", async () => {
    const plans = [
      both,
      firewallOf(planOf([peer(2, "admins"), peer(3, "new group")], services.slice(1)), tunnel),
      firewallOf(planOf([], []), tunnel),
      firewallOf(planOf([peer(1, "admins"), peer(2, "sales")], services), tunnel),
    ];
    for (const [i, to] of plans.entries()) {
      const from = plans[(i + plans.length - 1) % plans.length] ?? both;
      await using(tableText(to));
      const straight = await listing();
      await using(tableText(from));
      await using(changeText(from, to) ?? "");
      expect(await listing()).toEqual(straight);
    }

    async function using(text: string): Promise<void> {
      const done = await host.nft.apply(text);
      if (!done.ok) throw done.failure;
    }
  });

  test("every change between plans of any kind leads where the whole text leads", async () => {
    const seed = Math.floor(Math.random() * 1e9);
    const plans = fc.sample(somePlan, { seed, numRuns: 12 }).map((plan) => firewallOf(plan, tunnel));
    const listed = async (...texts: (string | undefined)[]) => {
      for (const text of texts) {
        const done = await host.nft.apply(text ?? "");
        if (!done.ok) throw new Error(`seed ${seed}`, { cause: done.failure });
      }
      return listing();
    };
    for (const [i, to] of plans.entries()) {
      const from = plans.at(i - 1) ?? both;
      const straight = await listed(tableText(to));
      expect(await listed(tableText(from), changeText(from, to)), `seed ${seed}`).toEqual(straight);
    }
  }, 30_000);

  test("nothing outside the table is touched, and no file stays", async () => {
    await nft("add", "table", "inet", "neighbour");
    await nft("add", "counter", "inet", "neighbour", "theirs");
    const table = host.table();
    await applied(table, both);
    await applied(table, firewallOf(planOf([], []), tunnel));
    expect((await host.nft.remove()).ok).toBe(true);
    expect((await host.nft.remove()).ok).toBe(true);
    expect((await nft("list", "tables")).trim()).toBe("table inet neighbour");
    expect(await nft("list", "table", "inet", "neighbour")).toContain("counter theirs");
    expect(readdirSync(host.folder)).toEqual([]);
  });

  test("a change keeps the counters of what stays; so does a new table", async () => {
    await applied(host.table(), both);
    const counter = [...both.counters.keys()].find((name) => name.startsWith("svc_everything")) ?? "";
    const counting = tableText(both, {
      learned: new Map(),
      counters: new Map([[counter, { packets: 7, bytes: 420 }]]),
    });
    expect((await host.nft.apply(counting)).ok).toBe(true);
    const table = host.table();
    await applied(table, both);
    await applied(table, firewallOf(planOf([peer(1, "sales")], services), tunnel));
    const counters = await table.counters();
    expect(counters.ok && counters.value.get(counter)).toEqual({ packets: 7, bytes: 420 });
  });

  test("addresses that were learned survive a new agent, a deleted table, and age in two steps", async () => {
    const first = host.table();
    await applied(first, both);
    await nft("add", "element", "inet", "connector", web4.now, "{ 10.0.0.5, 10.0.0.6 }");
    const second = host.table();
    await applied(second, both);
    expect(await nft("list", "set", "inet", "connector", web4.now)).toContain("10.0.0.5, 10.0.0.6");
    await nft("delete", "table", "inet", "connector");
    expect(await driftOf(second)).toEqual(["table inet connector is missing"]);
    await applied(second, both);
    expect(await nft("list", "set", "inet", "connector", web4.now)).toContain("10.0.0.5, 10.0.0.6");

    expect((await second.age()).ok).toBe(true);
    expect(await nft("list", "set", "inet", "connector", web4.now)).not.toContain("10.0.0");
    expect(await nft("list", "set", "inet", "connector", web4.before)).toContain("10.0.0.5, 10.0.0.6");
    await nft("add", "element", "inet", "connector", web4.now, "{ 10.0.0.6 }");
    expect((await second.age()).ok).toBe(true);
    expect(await nft("list", "set", "inet", "connector", web4.before)).toMatch(/\{ 10\.0\.0\.6 \}/);
    expect((await second.age()).ok).toBe(true);
    expect(await nft("list", "set", "inet", "connector", web4.before)).not.toContain("10.0.0");
    expect(await driftOf(second)).toEqual([]);
  });

  const meddling: readonly (readonly [what: string, command: string, drift: RegExp])[] = [
    [
      "a user taken out",
      "delete element inet connector users4 { 10.200.0.1 }",
      /^user 10\.200\.0\.1 is missing$/,
    ],
    [
      "a user put in",
      "add element inet connector users4 { 10.200.0.9 : accept }",
      /^user 10\.200\.0\.9 is not of the plan$/,
    ],
    ["a rule put in", "insert rule inet connector from_users accept", /^chain from_users has 1 rules more/],
    ["a chain emptied", "flush chain inet connector leased", /^chain leased lacks 3 of 3 rules$/],
    ["a chain of their own", "add chain inet connector theirs", /^chain theirs is not of the plan$/],
    ["a counter of their own", "add counter inet connector theirs", /^counter theirs is not of the plan$/],
    [
      "a set of their own",
      "add set inet connector theirs { type ipv4_addr; }",
      /^set theirs is not of the plan$/,
    ],
    [
      "a user with a comment",
      'add element inet connector users4 { 10.200.0.9 comment "mine" : accept }',
      /^user \S*10\.200\.0\.9\S* is not of the plan$/,
    ],
    [
      "a port put into a list",
      `add element inet connector ${[...both.ports.keys()][0]} { 22 }`,
      /^set ports_80_443_\w+ is missing or has other ports$/,
    ],
    ["a map of their own", "add map inet connector theirs { type mark : verdict; }", /^map theirs is not/],
    [
      "a table put to sleep",
      "add table inet connector { flags dormant; }",
      /^flag of the table is not of the plan$/,
    ],
    [
      "a quota of their own",
      "add quota inet connector theirs { 1 mbytes }",
      /^quota theirs is not of the plan$/,
    ],
    [
      "a policy",
      "add chain inet connector input { policy drop; }",
      /^chain input hangs at "input filter 0 drop"/,
    ],
    ["a mark put in", "add element inet connector opened { 0x7 }", /^mark 0x00000007 is not of the plan$/],
    [
      "a mark taken out",
      `delete element inet connector opened { ${someMark} }`,
      /^mark 0x[0-9a-f]{8} is missing$/,
    ],
    ["the table deleted", "delete table inet connector", /^table inet connector is missing$/],
    ["everything flushed", "flush ruleset", /^table inet connector is missing$/],
  ];

  test.each(meddling)("drift is named and repaired: %s", async (_what, command, drift) => {
    const table = host.table();
    await applied(table, both);
    const intact = await listing();
    await nft(command);
    const found = await driftOf(table);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(drift);
    await applied(table, both);
    expect(await listing()).toEqual(intact);
    expect(await driftOf(table)).toEqual([]);
    expect(tableWarnings()).toHaveLength(1);
  });

  test("a set of learned addresses that was made anew in another way is noticed", async () => {
    const table = host.table();
    const firewall = firewallOf(planOf([], services), tunnel);
    await applied(table, firewall);
    await nft("delete", "set", "inet", "connector", web4.now);
    await nft("add", "set", "inet", "connector", web4.now, "{ type ipv4_addr; timeout 1s; }");
    expect(await driftOf(table)).toEqual([`kind of set ${web4.now} is not of the plan`]);
    await applied(table, firewall);
    expect(await driftOf(table)).toEqual([]);
  });

  test("a rule whose body was changed in place is noticed, comment or none", async () => {
    const table = host.table();
    await applied(table, both);
    const rules = await nft("-a", "list", "chain", "inet", "connector", "from_users");
    const handle = /drop_metadata.*# handle (\d+)/.exec(rules)?.[1] ?? "";
    await nft(
      "replace",
      "rule",
      "inet",
      "connector",
      "from_users",
      "handle",
      handle,
      "ip daddr 192.0.2.1 drop",
    );
    expect(await driftOf(table)).toEqual(["chain from_users has another rule 1"]);
    // Also by an apply that has nothing to do with that chain.
    await applied(table, firewallOf(planOf([peer(1, "sales")], services.slice(1)), tunnel));
    expect(await nft("list", "chain", "inet", "connector", "from_users")).toContain("169.254.0.0/16");
    expect(tableWarnings().map(({ fields }) => fields["read back"])).toEqual([
      "chain from_users has another rule 1",
    ]);
  });

  test("what was found is repaired also by an apply that only brings a user", async () => {
    const table = host.table();
    await applied(table, both);
    await nft("delete", "element", "inet", "connector", "users4", "{ 10.200.0.1 }");
    expect(await driftOf(table)).toHaveLength(1);
    const more = [peer(1, "sales"), peer(2, "admins"), peer(3, "admins")];
    await applied(table, firewallOf(planOf(more, services), tunnel));
    expect(await driftOf(table)).toEqual([]);
  });

  test("a table that is gone when a user comes is written anew", async () => {
    const table = host.table();
    await applied(table, both);
    await nft("delete", "table", "inet", "connector");
    const more = [peer(1, "sales"), peer(2, "admins"), peer(3, "admins")];
    await applied(table, firewallOf(planOf(more, services), tunnel));
    expect(await driftOf(table)).toEqual([]);
    expect(tableWarnings()).toHaveLength(1);
  });

  test("calls wait for one another", async () => {
    const table = host.table();
    const plans = [1, 2, 3, 4].map((n) => firewallOf(planOf([peer(n, "sales")], services), tunnel));
    const results = await Promise.all([
      ...plans.map((plan) => table.apply(plan)),
      table.age(),
      table.drift(),
    ]);
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true, true, true, true]);
    expect(await nft("list", "map", "inet", "connector", "users4")).toContain("10.200.0.4");
  });

  test("CAP_NET_ADMIN is enough, and without it is told what failed", async () => {
    const as = (capabilities: string) =>
      commandRunner([
        ...[
          "ip",
          "netns",
          "exec",
          host.name,
          "setpriv",
          "--reuid",
          "65534",
          "--regid",
          "65534",
          "--clear-groups",
        ],
        ...["--inh-caps", capabilities, "--ambient-caps", capabilities, "--bounding-set", capabilities],
      ]);
    const folder = temporaryFolder();
    chownSync(folder.path, 65534, 65534);
    const text = join(folder.path, "text.nft");
    writeFileSync(text, tableText(both), { mode: 0o644 });
    const apply = ["nft", "-f", text];
    const refused = await as("-all")(apply);
    expect(refused.ok ? "" : String(refused.failure.facts.error)).toMatch(/Operation not permitted/);
    expect((await as("-all,+net_admin")(apply)).ok).toBe(true);
    const read = await new Nft({ run: as("-all,+net_admin"), folder: folder.path }).read();
    expect(read.ok && read.value?.users.size).toBe(4);
    expect((await forgetConnections(as("-all,+net_admin"), ["10.200.0.1"])).ok).toBe(true);
    folder[Symbol.dispose]();
  });
});

describe("an nft that cannot be used", () => {
  let nftFolder = "";

  /** `nft` as this script. */
  function fake(script: string | undefined, use: (nft: Nft) => Promise<void>): Promise<void> {
    const folder = temporaryFolder();
    if (script !== undefined) {
      writeFileSync(join(folder.path, "nft"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    const run = commandRunner(["/usr/bin/env", `PATH=${folder.path}`]);
    nftFolder = folder.path;
    return use(new Nft({ run, folder: folder.path, timeoutMs: 300 })).finally(() => folder[Symbol.dispose]());
  }

  test.each([
    ["missing", undefined, /nft.*No such file/],
    ["failing", "echo 'Error: Could not process rule: Operation not permitted' >&2; exit 1", /not permitted/],
    ["hanging", "while :; do :; done", /no end within 300 ms/],
    ["crashing", "kill -SEGV $$", /SIGSEGV/],
  ])("%s: datapath.failing with the command", async (_what, script, error) => {
    await fake(script, async (nft) => {
      const { log } = testLog();
      const result = await new NftTable({ nft, log }).apply(both);
      expect(result.ok ? undefined : result.failure.code).toBe("datapath.failing");
      expect(result.ok ? "" : String(result.failure.facts.error)).toMatch(error);
      expect(result.ok ? "" : String(result.failure.facts.command)).toMatch(/^nft -f /);
      const read = await nft.read();
      expect(read.ok ? "" : String(read.failure.facts.command)).toMatch(/^nft -j list table/);
    });
  });

  test.each([
    ["1.0.4", "nftables v1.0.4 (Lester Gooch #3)", undefined],
    ["1.1.3", "nftables v1.1.3 (Commodore Bullmoose #4)", undefined],
    ["0.9.8", "nftables v0.9.8 (E.D.S.)", "0.9.8 is too old"],
    ["1.0.3", "nftables v1.0.3", "1.0.3 is too old"],
    ["none", "hello", "the answer is not understood"],
  ])("version %s", async (version, answer, error) => {
    await fake(`echo '${answer}'`, async (nft) => {
      const result = await nft.version();
      if (result.ok) expect([result.value, undefined]).toEqual([version, error]);
      else expect(result.failure.facts.error).toBe(error);
    });
  });

  test("what an agent left that was killed is taken away, and does not stand in the way", async () => {
    await fake("exit 0", async (nft) => {
      for (const name of [`firewall-${process.pid}-0.nft`, "firewall-999999999-3.nft"]) {
        writeFileSync(join(nftFolder, name), "half");
      }
      const others = `firewall-${process.ppid}-1.nft`;
      writeFileSync(join(nftFolder, others), "another's");
      expect((await nft.apply("")).ok).toBe(true);
      expect(readdirSync(nftFolder).filter((name) => name !== "nft")).toEqual([others]);
    });
  });

  test("an answer that is no listing is no table", async () => {
    for (const answer of ["", "{}", '{"nftables": [{"map": {"elem": "no"}}]}', "[1]"]) {
      await fake(`echo '${answer}'`, async (nft) => {
        const read = await nft.read();
        expect(read.ok ? "" : read.failure.facts.error).toBe("the answer is not understood");
      });
    }
  });
});
