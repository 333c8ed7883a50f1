import { describe, expect, test } from "vitest";
import { type Firewall, firewallOf } from "../../agent/core/firewall.ts";
import { changeText, tableText } from "../../agent/core/firewall-text.ts";
import { FirewallHost, noFirewall } from "./firewall-hosts.ts";
import { peer, planOf, service, tunnel } from "./firewall-plans.ts";

const services = Array.from({ length: 200 }, (_, i) =>
  service(`service ${i}`, i % 4 === 0 ? `app${i}.internal` : `10.${i}.0.0/16`, "tcp 80 443", [
    `group ${i % 8}`,
  ]),
);
const sessions = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => peer(from + i, `group ${(from + i) % 8}`));
const firewall = (peers: ReturnType<typeof sessions>) => firewallOf(planOf(peers, services), tunnel);

/** Times are printed, not judged: the machine has others to serve. */
describe.skipIf(noFirewall !== undefined)(`many sessions (${noFirewall ?? "in the kernel"})`, () => {
  test.each([8, 100, 1_400, 10_000])("%i sessions, 200 services", async (count) => {
    using host = new FirewallHost();
    const table = host.table();
    const [whole, plan] = timed(() => firewall(sessions(1, count + 1)));
    const [text, print] = timed(() => tableText(whole));
    const first = await apply(whole);
    const more = firewall(sessions(1, count + 2));
    const [change, compare] = timed(() => changeText(whole, more));
    expect(change?.split("\n").filter(Boolean)).toHaveLength(2);
    const one = await apply(more);
    const back = await apply(whole);
    const allOver = await apply(firewall([]));
    const again = await apply(whole);
    console.log(
      `${count} sessions: planned in ${plan}, ${Math.round(text.length / 1024)} KiB text in ${print}, ` +
        `applied and read back in ${first}; one more: compared in ${compare}, applied in ${one}, taken back in ${back}; ` +
        `all gone in ${allOver}, all back, as a change, in ${again}`,
    );

    async function apply(wanted: Firewall): Promise<string> {
      const beginMs = performance.now();
      const result = await table.apply(wanted);
      if (!result.ok) throw result.failure;
      return `${Math.round(performance.now() - beginMs)} ms`;
    }
  });

  test("16 groups, 128 services for all of them, with long names and lists of ports", async () => {
    using host = new FirewallHost();
    const groups = Array.from({ length: 16 }, (_, i) => `group ${i} of those who ${"work ".repeat(6)}`);
    const everyones = Array.from({ length: 128 }, (_, i) =>
      service(
        `service ${i} ${"x".repeat(40)}`,
        i % 2 === 0 ? `app${i}.internal` : `10.${i}.0.0/16`,
        "tcp 80 443 8000-8010",
        groups,
      ),
    );
    const peers = Array.from({ length: 1_400 }, (_, i) => peer(i + 1, groups[i % groups.length] ?? ""));
    const table = host.table();
    const beginMs = performance.now();
    const result = await table.apply(firewallOf(planOf(peers, everyones), tunnel));
    if (!result.ok) throw result.failure;
    console.log(`applied and read back in ${Math.round(performance.now() - beginMs)} ms`);
  }, 30_000);
});

function timed<T>(work: () => T): [T, string] {
  const beginMs = performance.now();
  const value = work();
  return [value, `${Math.round(performance.now() - beginMs)} ms`];
}
