import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { NftTable } from "../../agent/adapters/nft-table.ts";
import { firewallOf } from "../../agent/core/firewall.ts";
import { learnedSets } from "../../agent/core/firewall-learned.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import { runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { type Applications, type FirewallWorld, firewallWorld, noFirewall } from "./firewall-hosts.ts";
import { peer, planOf, service, tunnel } from "./firewall-plans.ts";

const [sales, admin] = [peer(1, "sales"), peer(2, "admins")];
const { ipv4: user = "" } = sales;
const app = "10.0.0.5";
const named = "10.99.0.5";
const all = ["sales", "admins"];

/** Of a download that a server pours out: the downloading end sends nothing but acknowledgements. */
describe.skipIf(noFirewall !== undefined)(
  `connections when services change (${noFirewall ?? "in the kernel"})`,
  () => {
    let world: FirewallWorld;
    let table: NftTable;

    beforeAll(async () => {
      const users = [sales, admin].flatMap(({ ipv4, ipv6 }) => [ipv4 ?? "", ipv6 ?? ""]);
      world = firewallWorld({ users, vpc: [app, named, "fd00::5"] });
      await world.vpc.request({ do: "pour", address: app, port: 80 });
      await world.vpc.request({ do: "pour", address: named, port: 80 });
      await world.users.request({ do: "pour", address: user, port: 5060 });
    });
    beforeEach(() => {
      table = world.instance.table();
    });
    afterAll(() => world?.[Symbol.dispose]());

    async function use(...services: ResourceSpec[]): Promise<void> {
      const applied = await table.apply(firewallOf(planOf([sales, admin], services), tunnel));
      if (!applied.ok) throw applied.failure;
    }

    const drunk = async (by: Applications) => Number(await by.request({ do: "drunk" }));

    async function goesOn(by: Applications): Promise<void> {
      const before = await drunk(by);
      await until("more comes", async () => (await drunk(by)) > before + 20_000);
    }

    /** In that third of a second 60 kB would have come. */
    async function hasStopped(by: Applications): Promise<boolean> {
      // What came before may not be read yet; it is when there is an answer to this.
      await drunk(by);
      const before = await drunk(by);
      await world.users.ask(user, "udp", "10.98.0.1", 9, 300);
      return (await drunk(by)) === before;
    }

    /** What was sent again stays so; that it was not lost may be told a moment later. */
    async function untilNothingIsLost(port: string): Promise<void> {
      await until("no segment is lost", async () => (await lost(port)) === 0);
    }

    /**
     * How many segments of the connection from this port were lost: sent again, without the receiver saying that it had
     * them twice. A sender whose acknowledgements a busy machine delays sends again what was not lost.
     */
    async function lost(port: string): Promise<number> {
      const filter = `( sport = :${port} or dport = :${port} )`;
      const hosts = [world.users.name, world.vpc.name];
      const shown = await Promise.all(hosts.map((host) => runIn(host, "ss", "-tinH", filter)));
      const total = (what: RegExp) => shown.reduce((sum, text) => sum + Number(what.exec(text)?.[1] ?? 0), 0);
      return total(/ retrans:\d+\/(\d+)/) - total(/ dsack_dups:(\d+)/);
    }

    const download = () => world.users.request({ do: "drink", from: user, to: app, port: 80 });
    const wide = service("wide", "10.0.0.0/8", "tcp 80", all);

    test("a download that stays allowed does not lose a packet, whatever else changes", async () => {
      await use(wide);
      const port = await download();
      await goesOn(world.users);
      const changes: readonly (readonly ResourceSpec[])[] = [
        [wide, service("another", "192.0.2.0/24", "any", all)],
        // By another service than the one that let it in.
        [service("narrow", `${app}/32`, "tcp 80", ["sales"])],
        [wide, service("none of its ports", `${app}/32`, "tcp 22", ["admins"])],
        [service("any", "10.0.0.0/16", "any", all, { serverInitiated: true })],
        [wide],
      ];
      for (const services of changes) {
        await use(...services);
        await goesOn(world.users);
      }
      // And by an agent that was restarted, for which every rule is new.
      table = world.instance.table();
      await use(service("port range", "10.0.0.0/24", "tcp 79-81", all));
      await goesOn(world.users);
      await untilNothingIsLost(port);
    });

    test.each([
      ["its service is taken away", []],
      ["its service has other ports now", [service("wide", "10.0.0.0/8", "tcp 81", all)]],
      ["its group is taken out", [service("wide", "10.0.0.0/8", "tcp 80", ["admins"])]],
      ["a narrower one is for others", [wide, service("narrow", `${app}/32`, "tcp 80", ["admins"])]],
    ])("a download stops, both ways: %s", async (_what, services) => {
      await use(wide);
      expect(await download()).toMatch(/^\d+$/);
      await goesOn(world.users);
      await use(...services);
      expect(await hasStopped(world.users)).toBe(true);
      const counters = await table.counters();
      const refused = [...(counters.ok ? counters.value : [])].filter(([name]) =>
        /^grp_sales.*refused$/.test(name),
      );
      expect(refused[0]?.[1].packets).toBeGreaterThan(0);
      // What its user sends is refused as well: the server does not hear the end of the connection.
      expect(await runIn(world.vpc.name, "ss", "-tnH", "state", "established", "sport", "= :80")).toContain(
        user,
      );
      await use(wide);
      await goesOn(world.users);
    });

    test("a connection that a server opened: the same, both ways", async () => {
      const telephone = service("telephone", "10.0.0.0/8", "tcp 5060", all, { serverInitiated: true });
      await use(telephone);
      const port = await world.vpc.request({ do: "drink", from: app, to: user, port: 5060 });
      await goesOn(world.vpc);
      await use(service("by port", "10.0.0.0/16", "tcp 5000-5100", all, { serverInitiated: true }), wide);
      await goesOn(world.vpc);
      await untilNothingIsLost(port);
      await use({ ...telephone, serverInitiated: false });
      expect(await hasStopped(world.vpc)).toBe(true);
      await use(telephone);
      await goesOn(world.vpc);
    });

    test("an address that was forgotten goes on for who is connected, until the domain's service goes", async () => {
      const domain = service("by name", "app.internal", "tcp 80", ["sales"]);
      const [{ now }] = learnedSets("app.internal");
      await use(domain);
      await world.instance.must("nft", "add", "element", "inet", "connector", now, `{ ${named} }`);
      const port = await world.users.request({ do: "drink", from: user, to: named, port: 80 });
      await table.age();
      await table.age();
      expect(await world.users.ask(user, "tcp", named, 80)).toBe("silence");
      await use(domain, wide, service("other", "other.internal", "tcp 22", all));
      await goesOn(world.users);
      await untilNothingIsLost(port);
      await use(service("other", "other.internal", "tcp 80", all));
      expect(await hasStopped(world.users)).toBe(true);
    });
  },
);
