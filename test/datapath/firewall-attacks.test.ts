import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NftTable } from "../../agent/adapters/nft-table.ts";
import { firewallOf } from "../../agent/core/firewall.ts";
import { learnedSets } from "../../agent/core/firewall-learned.ts";
import { pings, reaches, runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { type FirewallWorld, firewallWorld, noFirewall } from "./firewall-hosts.ts";
import { peer, planOf, service, tunnel } from "./firewall-plans.ts";

const [user, other] = [peer(1, "staff"), peer(2, "staff")];
const { ipv4: own = "", ipv6: own6 = "" } = user;
const app = { ipv4: "10.0.0.5", ipv6: "fd00::5" };
const credentials = "169.254.170.23";
const rebound = ["169.254.169.254", "127.0.0.1", "10.200.0.2", "10.255.255.1", "100.64.0.1"];

/** What the widest services there can be do not open. */
describe.skipIf(noFirewall !== undefined)(`attacks (${noFirewall ?? "in the kernel"})`, () => {
  let world: FirewallWorld;
  let table: NftTable;

  beforeAll(async () => {
    world = firewallWorld({
      users: [own, own6, other.ipv4 ?? "", other.ipv6 ?? ""],
      vpc: [app.ipv4, app.ipv6, "fd00:ec2::23"],
    });
    const { vpc, instance } = world;
    await runIn(vpc.name, "ip", "address", "add", `${credentials}/32`, "dev", "v0");
    await instance.must("ip", "route", "add", `${credentials}/32`, "dev", "ens5");
    await vpc.serve("tcp", app.ipv4, 80);
    for (const address of [credentials, "fd00:ec2::23"]) await vpc.serve("tcp", address, 80);
    table = instance.table();
    const services = ["0.0.0.0/0", "::/0", "evil.internal"].map((destination) =>
      service(destination, destination, "any", ["staff"], { serverInitiated: true }),
    );
    const applied = await table.apply(firewallOf(planOf([user, other], services), tunnel));
    if (!applied.ok) throw applied.failure;
    const [{ now }] = learnedSets("evil.internal");
    await instance.must("nft", "add", "element", "inet", "connector", now, `{ ${rebound.join(", ")} }`);
  });
  afterAll(() => world?.[Symbol.dispose]());

  async function counted(name: string): Promise<number> {
    const counters = await table.counters();
    if (!counters.ok) throw counters.failure;
    return counters.value.get(name)?.packets ?? Number.NaN;
  }

  test("any credentials that are handed out at link-local addresses", async () => {
    const before = await counted("drop_metadata");
    expect(await world.users.reach(own, "tcp", app.ipv4, 80)).toBe(own);
    expect(await world.users.ask(own, "tcp", credentials, 80)).toBe("silence");
    expect(await world.users.ask(own6, "tcp", "fd00:ec2::23", 80)).toBe("silence");
    await world.users.ask(own6, "tcp", "64:ff9b::a9fe:a9fe", 80);
    await world.users.ask(own6, "tcp", "::ffff:169.254.169.254", 80);
    expect(await counted("drop_metadata")).toBeGreaterThanOrEqual(before + 2);
  });

  test("a name that is answered with an address of the instance, of AWS or of another user", async () => {
    for (const address of ["169.254.169.254", "10.255.255.1", "100.64.0.1"]) {
      expect(await world.users.ask(own, "tcp", address, 22), address).toBe("silence");
    }
    const before = await counted("drop_between_users");
    await world.users.ask(own, "udp", "10.200.0.77", 9);
    expect(await counted("drop_between_users")).toBe(before + 1);
  });

  test("the tunnel's end from the VPC", async () => {
    const before = await counted("drop_instance");
    expect(await world.vpc.ask(app.ipv4, "tcp", "100.64.0.1", 53)).toBe("silence");
    expect(await world.vpc.ask(app.ipv4, "udp", "100.64.0.1", 53)).toBe("silence");
    expect(await counted("drop_instance")).toBeGreaterThan(before + 1);
  });

  test("the VPC with a user's address as its own, and a user whose tunnel is gone", async () => {
    const before = await counted("drop_astray");
    await runIn(world.vpc.name, "ip", "address", "add", "10.200.0.9/32", "dev", "v0");
    await world.vpc.ask("10.200.0.9", "udp", own, 9);
    expect(await counted("drop_astray")).toBe(before + 1);
    const { instance } = world;
    await instance.must("ip", "route", "replace", "10.200.0.0/16", "via", app.ipv4, "dev", "ens5");
    await world.vpc.ask(app.ipv4, "udp", own, 9);
    await instance.must("ip", "route", "replace", "10.200.0.0/16", "dev", "cb0");
    // Once, and not once for every hop on its way to and fro.
    expect(await counted("drop_astray")).toBe(before + 2);
  });

  test("packets that the host does not track", async () => {
    const { instance } = world;
    await instance.must(
      "nft",
      "add table ip t; add chain ip t c { type filter hook prerouting priority raw; }",
    );
    await instance.must("nft", "add rule ip t c notrack");
    expect(await world.users.ask(own, "tcp", app.ipv4, 80)).toBe("silence");
    expect(await pings(world.users.name, "100.64.0.1", "-I", own)).toBe(false);
    await instance.must("nft", "delete table ip t");
    expect(await world.users.reach(own, "tcp", app.ipv4, 80)).toBe(own);
  });

  test("fragments: of what a service allows all arrive, of the rest none", async () => {
    await runIn(world.users.name, "ip", "link", "set", "u0", "mtu", "1280");
    const big = ["-M", "dont", "-s", "4000", "-I", own];
    expect(await reaches(world.users.name, app.ipv4, ...big)).toBe(true);
    // The server hears of the tunnel's MTU by the first.
    await until("an echo of IPv6", () => pings(world.users.name, app.ipv6, "-s", "4000", "-I", own6));
    expect(await pings(world.users.name, "10.255.255.1", ...big)).toBe(false);
  });

  test("errors about a user's own connection come back, which path MTU discovery needs", async () => {
    await runIn(world.vpc.name, "ip", "route", "add", "unreachable", "10.0.99.0/24");
    await world.instance.must("ip", "route", "add", "10.0.99.0/24", "via", app.ipv4);
    expect(await world.users.request({ do: "open", from: own, to: "10.0.99.1", port: 80 })).toBe(
      "EHOSTUNREACH",
    );
  });
});
