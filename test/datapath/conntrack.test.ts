import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { forgetConnections } from "../../agent/adapters/conntrack.ts";
import { covering, deletionsOf } from "../../agent/core/connections.ts";
import { containsAddress, parsePrefix } from "../../protocol/address.ts";
import { failed, success } from "../../protocol/failures.ts";
import { FirewallHost, noFirewall } from "./firewall-hosts.ts";
import { peer } from "./firewall-plans.ts";

test("the prefixes hold every address that is wanted and present, and no other that is present", () => {
  const address = fc
    .oneof(fc.nat({ max: 64 }), fc.nat({ max: 2 ** 32 - 1 }))
    .chain((n) =>
      fc.constantFrom(
        `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`,
        `fd00::${(n >>> 16).toString(16)}:${(n & 0xffff).toString(16)}`,
      ),
    );
  fc.assert(
    fc.property(fc.uniqueArray(address), fc.uniqueArray(address), (some, others) => {
      for (const family of [4, 6] as const) {
        const isOurs = (text: string) => text.includes(":") === (family === 6);
        const [wanted, present] = [
          new Set(some.filter(isOurs)),
          new Set([...some, ...others].filter(isOurs)),
        ];
        const prefixes = covering(family, wanted, present).map((text) => {
          const prefix = parsePrefix(text);
          if (!prefix.ok) throw prefix.failure;
          return prefix.value;
        });
        for (const text of present) {
          const isIn = prefixes.filter((prefix) => containsAddress(prefix, text)).length;
          expect(isIn, text).toBe(wanted.has(text) ? 1 : 0);
        }
        expect(prefixes.length).toBeLessThanOrEqual(wanted.size);
      }
    }),
  );
});

test("everybody's connections take one filter a side, and those who have none take none", () => {
  const users = Array.from({ length: 1_400 }, (_, n) => peer(n, "staff").ipv4 ?? "");
  const listing = users.map(
    (user, i) => `tcp 6 9 ESTABLISHED src=${user} dst=10.0.0.5 sport=${i} dport=80 src=10.0.0.5`,
  );
  expect(deletionsOf(4, users, listing.join("\n"))).toEqual([
    { side: "--orig-src", prefix: "10.200.0.0/21" },
  ]);
  expect(deletionsOf(4, ["10.9.9.9"], listing.join("\n"))).toEqual([]);
  const opened = "udp 17 9 src=10.0.0.5 dst=10.200.0.7 sport=1 dport=2 src=10.200.0.7 dst=10.0.0.5";
  expect(deletionsOf(4, ["10.200.0.7"], opened)).toEqual([{ side: "--orig-dst", prefix: "10.200.0.7/32" }]);
});

test("a listing that fails is done without, and the first failure is told", async () => {
  const asked: string[] = [];
  const answer = await forgetConnections(
    (argv) => {
      asked.push(argv.slice(1).join(" "));
      if (argv[1] === "-L")
        return Promise.resolve(failed("datapath.failing", { error: "the output is too long" }));
      const isSecond = argv.at(-1) === "10.0.0.2";
      return Promise.resolve(isSecond ? failed("datapath.failing", { error: "EPERM" }) : success(""));
    },
    ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"],
  );
  expect(answer.ok ? "" : answer.failure.facts.error).toBe("EPERM");
  expect(asked).toHaveLength(9);
});

describe.skipIf(noFirewall !== undefined)(`in the kernel (${noFirewall ?? "conntrack"})`, () => {
  let host: FirewallHost;
  beforeEach(async () => {
    host = new FirewallHost();
    // Connections are tracked where a rule asks for their state.
    await host.must("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }");
    await host.must("nft", "add rule inet t c ct state new");
  });
  afterEach(() => host[Symbol.dispose]());

  /** `count` connections of so many users to and fro, both families. */
  async function open(count: number, users: number): Promise<void> {
    const lines = Array.from({ length: count }, (_, i) => {
      const { ipv4 = "", ipv6 = "" } = peer(i % users, "staff");
      const port = Math.floor(i / users) + 1_000;
      const pair = i % 2 === 0 ? [ipv4, "10.0.0.5"] : [ipv6, "fd00::5"];
      const [from, to] = i % 5 === 0 ? pair.toReversed() : pair;
      const ports = `--sport ${port} --dport 443 --reply-port-src 443 --reply-port-dst ${port}`;
      const ends = `-s ${from} -d ${to} -r ${to} -q ${from}`;
      return `-I -t 4000 -u SEEN_REPLY,ASSURED ${ends} -p tcp ${ports} --state ESTABLISHED`;
    });
    const file = join(host.folder, "connections");
    writeFileSync(file, `${lines.join("\n")}\n`);
    await host.must("conntrack", "-R", file);
  }

  const left = async () => Number(await host.must("conntrack", "-C"));
  const addresses = (users: number[]) =>
    users.flatMap((n) => [peer(n, "staff").ipv4 ?? "", peer(n, "staff").ipv6 ?? ""]);

  test.each([
    [20_000, "all", 1, 1_400],
    [20_000, "every fortieth", 40, 1_400],
  ])(
    "%i connections, %s of 1,400 users leave",
    async (count, _who, every, users) => {
      await open(count, users);
      const leaving = Array.from({ length: users }, (_, n) => n).filter((n) => n % every === 0);
      const theirs = Array.from({ length: count }, (_, i) => i % users).filter((n) => n % every === 0).length;
      const before = await left();
      expect(before).toBe(count);
      const beginMs = performance.now();
      expect((await forgetConnections(host.run, addresses(leaving))).ok).toBe(true);
      console.log(
        `${theirs} of ${count} connections forgotten in ${Math.round(performance.now() - beginMs)} ms`,
      );
      expect(await left()).toBe(before - theirs);
    },
    30_000,
  );

  test("one who leaves, and one whose connections are gone already", async () => {
    await open(100, 10);
    expect((await forgetConnections(host.run, addresses([3]))).ok).toBe(true);
    expect(await left()).toBe(90);
    expect((await forgetConnections(host.run, addresses([3]))).ok).toBe(true);
  });
});
