import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { forgetConnections } from "../../agent/adapters/conntrack.ts";
import type { NftTable } from "../../agent/adapters/nft-table.ts";
import { firewallOf } from "../../agent/core/firewall.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import { pings, reaches, runIn } from "../support/namespaces.ts";
import { type FirewallWorld, firewallWorld, noFirewall } from "./firewall-hosts.ts";
import { peer, planOf, service, tunnel } from "./firewall-plans.ts";

const [sales, admin, lateComer] = [peer(1, "sales"), peer(2, "admins"), peer(3, "sales")];
/** In the routed range, and never leased. */
const unleased = { ipv4: "10.200.0.99", ipv6: "2001:db8:200::63" };
const app = { ipv4: "10.0.0.5", ipv6: "fd00::5" };
const database = "10.1.0.7";
const outside = "10.99.0.1";

const services = [
  service("apps", "10.0.0.0/16", "tcp 80 8000-8010", ["sales", "admins"]),
  service("apps six", "fd00::/64", "tcp 80", ["sales"]),
  service("time", "10.0.0.0/16", "udp 123", ["sales"]),
  service("ping", "10.0.0.0/16", "icmp", ["sales"]),
  service("ping six", "fd00::/64", "icmp", ["sales"]),
  service("wide", "10.1.0.0/16", "any", ["sales", "admins"]),
  service("database", `${database}/32`, "tcp 5432", ["admins"]),
  service("telephone", "10.0.0.5/32", "udp 5060", ["sales"], { serverInitiated: true }),
  service("everywhere in Rome", "169.254.0.0/16", "any", ["admins"]),
  service("metadata", "fd00:ec2::/32", "any", ["admins"]),
];

describe.skipIf(noFirewall !== undefined)(`packets (${noFirewall ?? "in the kernel"})`, () => {
  let world: FirewallWorld;
  let table: NftTable;

  beforeAll(async () => {
    world = firewallWorld({
      users: [sales, admin, lateComer, unleased].flatMap(({ ipv4, ipv6 }) => [ipv4 ?? "", ipv6 ?? ""]),
      vpc: [app.ipv4, app.ipv6, database, outside, "fd00:ec2::254"],
    });
    const { vpc, users } = world;
    await vpc.serve("tcp", app.ipv4, 80, 8000, 8010, 8011);
    await vpc.serve("tcp", app.ipv6, 80, 81);
    await vpc.serve("udp", app.ipv4, 123, 124, 5060);
    await vpc.serve("tcp", database, 22, 5432);
    await vpc.serve("tcp", outside, 80);
    await vpc.serve("tcp", "169.254.169.254", 80);
    await vpc.serve("tcp", "fd00:ec2::254", 80);
    await users.serve("udp", sales.ipv4 ?? "", 5060, 5061);
    await users.serve("udp", admin.ipv4 ?? "", 5060);
    await users.serve("tcp", lateComer.ipv4 ?? "", 80);
    table = world.instance.table();
    await use(services);
  });

  afterAll(() => world?.[Symbol.dispose]());

  async function use(wanted: readonly ResourceSpec[], peers = [sales, admin]): Promise<void> {
    const applied = await table.apply(firewallOf(planOf(peers, wanted), tunnel));
    if (!applied.ok) throw applied.failure;
  }

  async function counted(name: RegExp): Promise<number> {
    const counters = await table.counters();
    if (!counters.ok) throw counters.failure;
    const found = [...counters.value].find(([counter]) => name.test(counter));
    if (found === undefined) throw new Error(`no counter ${name}`);
    return found[1].packets;
  }

  const ask = (from: { ipv4?: string | undefined }, protocol: "tcp" | "udp", to: string, port: number) =>
    world.users.ask(from.ipv4 ?? "", protocol, to, port);
  const reach = (from: { ipv4?: string | undefined }, protocol: "tcp" | "udp", to: string, port: number) =>
    world.users.reach(from.ipv4 ?? "", protocol, to, port);
  const reachSix = (from: { ipv6?: string | undefined }, to: string, port: number) =>
    world.users.reach(from.ipv6 ?? "", "tcp", to, port);
  const askSix = (from: { ipv6?: string | undefined }, to: string, port: number) =>
    world.users.ask(from.ipv6 ?? "", "tcp", to, port);

  test("without the table every one of these addresses would answer", async () => {
    await world.instance.must("nft", "delete", "table", "inet", "connector");
    expect(await reach(admin, "tcp", "169.254.169.254", 80)).toBe(admin.ipv4);
    expect(await reachSix(admin, "fd00:ec2::254", 80)).toBe(admin.ipv6);
    expect(await reach(unleased, "tcp", app.ipv4, 80)).toBe(unleased.ipv4);
    expect(await reach(sales, "tcp", outside, 80)).toBe(sales.ipv4);
    await use(services);
  });

  test("an application that a service allows sees the user's own address", async () => {
    expect(await reach(sales, "tcp", app.ipv4, 80)).toBe(sales.ipv4);
    expect(await reachSix(sales, app.ipv6, 80)).toBe(sales.ipv6);
    expect(await reach(sales, "udp", app.ipv4, 123)).toBe(sales.ipv4);
    expect(await counted(/^svc_apps_/)).toBeGreaterThan(0);
    expect(await counted(/^grp_sales_.*_opened$/)).toBeGreaterThan(0);
  });

  test("ports: a list, a range's ends, and nothing beside them", async () => {
    expect(await reach(sales, "tcp", app.ipv4, 8000)).toBe(sales.ipv4);
    expect(await reach(sales, "tcp", app.ipv4, 8010)).toBe(sales.ipv4);
    expect(await ask(sales, "tcp", app.ipv4, 8011)).toBe("silence");
    expect(await ask(sales, "udp", app.ipv4, 124)).toBe("silence");
    expect(await askSix(sales, app.ipv6, 81)).toBe("silence");
    expect(await counted(/^grp_sales_.*_refused$/)).toBeGreaterThan(0);
  });

  test("deny is the default, and another group's service is not mine", async () => {
    expect(await ask(sales, "tcp", outside, 80)).toBe("silence");
    expect(await ask(admin, "udp", app.ipv4, 123)).toBe("silence");
    expect(await askSix(admin, app.ipv6, 80)).toBe("silence");
  });

  test("echo requests only where a service allows ICMP", async () => {
    const { name } = world.users;
    expect(await reaches(name, app.ipv4, "-I", sales.ipv4 ?? "")).toBe(true);
    expect(await reaches(name, app.ipv6, "-I", sales.ipv6 ?? "")).toBe(true);
    expect(await pings(name, app.ipv4, "-I", admin.ipv4 ?? "")).toBe(false);
    expect(await pings(name, app.ipv6, "-I", admin.ipv6 ?? "")).toBe(false);
  });

  test("the more specific entry decides: the database is the administrators', the rest of its network everyone's", async () => {
    expect(await reach(admin, "tcp", database, 5432)).toBe(admin.ipv4);
    expect(await ask(sales, "tcp", database, 5432)).toBe("silence");
    expect(await reach(sales, "tcp", database, 22)).toBe(sales.ipv4);
  });

  test("the metadata service is nobody's, not even by a service that names it", async () => {
    const before = await counted(/^drop_metadata$/);
    expect(await ask(admin, "tcp", "169.254.169.254", 80)).toBe("silence");
    expect(await askSix(admin, "fd00:ec2::254", 80)).toBe("silence");
    expect(await counted(/^drop_metadata$/)).toBeGreaterThan(before + 1);
  });

  test("an address that is not leased reaches nothing and is reached by nothing", async () => {
    const before = await counted(/^drop_unleased$/);
    expect(await ask(unleased, "tcp", app.ipv4, 80)).toBe("silence");
    expect(await askSix(unleased, app.ipv6, 80)).toBe("silence");
    expect(await world.vpc.ask(app.ipv4, "udp", unleased.ipv4, 5060)).toBe("silence");
    expect(await counted(/^drop_unleased$/)).toBeGreaterThan(before + 2);
  });

  test("users do not reach each other", async () => {
    const everything = service("everything", "0.0.0.0/0", "any", ["sales"], { serverInitiated: true });
    await use([...services, everything]);
    const before = await counted(/^drop_between_users$/);
    // In the users' namespace each address is local: what goes out is for one that only the instance routes.
    await world.users.ask(sales.ipv4 ?? "", "udp", "10.200.0.4", 80);
    expect(await counted(/^drop_between_users$/)).toBe(before + 1);
    await use(services);
  });

  test("a server opens connections towards a user only by a service that says so", async () => {
    const { vpc } = world;
    expect(await vpc.reach(app.ipv4, "udp", sales.ipv4 ?? "", 5060)).toBe(app.ipv4);
    expect(await vpc.ask(app.ipv4, "udp", sales.ipv4 ?? "", 5061)).toBe("silence");
    expect(await vpc.ask(outside, "udp", sales.ipv4 ?? "", 5060)).toBe("silence");
    expect(await vpc.ask(app.ipv4, "udp", admin.ipv4 ?? "", 5060)).toBe("silence");
  });

  test("of the instance itself users reach the tunnel's address with echo requests, and nothing else", async () => {
    const { name } = world.users;
    expect(await reaches(name, "100.64.0.1", "-I", sales.ipv4 ?? "")).toBe(true);
    expect(await reaches(name, "fd01::1", "-I", sales.ipv6 ?? "")).toBe(true);
    expect(await pings(name, "100.64.0.1", "-I", unleased.ipv4)).toBe(false);
    expect(await pings(name, "10.255.255.1", "-I", sales.ipv4 ?? "")).toBe(false);
    const before = await counted(/^drop_instance$/);
    expect(await ask(sales, "tcp", "100.64.0.1", 22)).toBe("silence");
    expect(await ask(sales, "tcp", "10.255.255.1", 22)).toBe("silence");
    expect(await counted(/^drop_instance$/)).toBeGreaterThan(before + 1);
    // The resolver's port is open: nobody listens in this test, and the host says so.
    expect(await reach(sales, "tcp", "100.64.0.1", 53)).toBe("ECONNREFUSED");
    expect(await ask(unleased, "tcp", "100.64.0.1", 53)).toBe("silence");
  });

  test("what is not from or to the tunnel is none of our business", async () => {
    expect(await world.vpc.reach(app.ipv4, "tcp", "10.255.255.1", 22)).toBe("ECONNREFUSED");
  });

  test("both ends of a connection send no more at once than the tunnel carries", async () => {
    expect(await world.users.request({ do: "open", from: sales.ipv4 ?? "", to: app.ipv4, port: 80 })).toBe(
      sales.ipv4,
    );
    for (const host of [world.users.name, world.vpc.name]) {
      const sockets = await runIn(host, "ss", "-tinH", "state", "established");
      const sizes = [...sockets.matchAll(/\bmss:(\d+)/g)].map(([, size]) => Number(size));
      expect(sizes.length).toBeGreaterThan(0);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(1240);
    }
  });

  test("a session that ends: its connection stops at once, and is forgotten", async () => {
    await use(services, [sales, admin, lateComer]);
    const { ipv4 = "" } = lateComer;
    expect(await world.users.request({ do: "open", from: ipv4, to: app.ipv4, port: 80 })).toBe(ipv4);
    expect(await world.users.request({ do: "say", withinMs: 2_000 })).toBe(ipv4);
    await use(services, [sales, admin]);
    const forgotten = await forgetConnections(world.instance.run, [ipv4, lateComer.ipv6 ?? ""]);
    expect(forgotten.ok).toBe(true);
    expect(await world.users.request({ do: "say", withinMs: 300 })).toBe("silence");
    expect(await forgetConnections(world.instance.run, [ipv4])).toEqual(forgotten);
    // The address is leased again, and the connection of before is let in only as a new one of its new user's group.
    await use(services, [sales, admin, { ...lateComer, group: "nobody's" }]);
    expect(await world.users.request({ do: "say", withinMs: 300 })).toBe("silence");
  });

  test("a new table does not touch connections that are established", async () => {
    await use(services);
    const { ipv4 = "" } = sales;
    expect(await world.users.request({ do: "open", from: ipv4, to: app.ipv4, port: 80 })).toBe(ipv4);
    const opened = await counted(/^svc_apps_/);
    table = world.instance.table();
    await use(services);
    expect(await world.users.request({ do: "say", withinMs: 2_000 })).toBe(ipv4);
    expect(await counted(/^svc_apps_/)).toBe(opened);
  });
});
