import { expect, test } from "vitest";
import { obstacle, title } from "../lab/vpc-fixture.ts";
import { until } from "../support/until.ts";
import { instance, planOf } from "./datapath-instance.ts";

const here = { skip: obstacle !== undefined, timeout: 60_000 };

test(title("1,400 sessions at once are set, read back, and ended"), here, async () => {
  const { start, run } = await instance("dp-many");
  const dataPath = start();
  const plan = planOf(1_400);
  expect((await dataPath.apply(plan)).value).toEqual({
    routes: plan.routes,
    peers: 1_400,
    drift: [],
    silent: [],
  });
  expect((await dataPath.compare()).value.drift).toEqual([]);
  expect((await dataPath.traffic()).value.size).toBe(1_400);
  const ended = await dataPath.apply(planOf(0));
  expect(ended.value).toMatchObject({ peers: 0, drift: [] });
  expect(
    await run("wg show connector0 peers | wc -l; nft list map inet connector users4 | grep -c goto"),
  ).toBe("0\n0");
});

test(title("without a firewall nothing is let into the tunnel"), here, async () => {
  const { tools, start, run } = await instance("dp-no-nft");
  const dataPath = start();
  const isOpen = () => run("ip link show connector0 > /dev/null && echo open || echo closed");
  tools.set("nft", { is: "missing" });
  expect(await dataPath.refusal(planOf(1))).toMatchObject({ error: "nft is not installed" });
  tools.set("nft", { is: "old", version: "nftables v0.9.8 (E.D.S.)" });
  expect(await dataPath.refusal(planOf(1))).toMatchObject({ error: "0.9.8 is too old", needed: "1.0.4" });
  tools.set("nft", { is: "failing", says: "Error: Could not process rule: Operation not permitted" });
  expect(await dataPath.refusal(planOf(1))).toMatchObject({ error: expect.stringMatching(/not permitted/) });
  expect(await isOpen()).toMatch(/closed$/);
  tools.set("nft", { is: "real" });
  expect((await dataPath.apply(planOf(1))).value).toMatchObject({ peers: 1, drift: [] });
  expect(await isOpen()).toBe("open");
});

test(title("an nft that hangs is told, and does not keep those who left"), here, async () => {
  const { tools, start, run } = await instance("dp-hang");
  const dataPath = start();
  await dataPath.apply(planOf(2));
  tools.set("nft", { is: "hanging" });
  const begunMs = performance.now();
  let isTold = false;
  const refusal = dataPath.refusal(planOf(1)).finally(() => {
    isTold = true;
  });
  await until("the peer is gone", async () => (await run("wg show connector0 peers | wc -l")) === "1");
  expect(isTold).toBe(false);
  expect(await refusal).toMatchObject({ error: expect.stringMatching(/no end within/) });
  // The next to leave waits for no more than one command.
  expect(performance.now() - begunMs).toBeLessThan(15_000);
  tools.set("nft", { is: "real" });
  expect((await dataPath.apply(planOf(1))).value).toMatchObject({ peers: 1, drift: [] });
});

test(title("a resolver that cannot be had is told, and users' packets do not need it"), here, async () => {
  const { tools, start } = await instance("dp-no-dns");
  const dataPath = start();
  tools.set("dnsmasq", { is: "missing" });
  const { value } = await dataPath.apply(planOf(1));
  expect(value).toMatchObject({
    peers: 1,
    drift: [],
    resolver: { facts: { error: "dnsmasq is not installed" } },
  });
  tools.set("dnsmasq", { is: "old", version: "Dnsmasq version 2.85" });
  const older = await dataPath.apply(planOf(1));
  expect(older.value.resolver).toMatchObject({ facts: { error: "2.85 is too old" } });
  tools.set("dnsmasq", { is: "real" });
  expect((await dataPath.apply(planOf(1))).value.resolver).toBeUndefined();
});

test(title("a resolver that hangs holds up nobody"), here, async () => {
  const { tools, start } = await instance("dp-dns-hangs");
  const dataPath = start();
  tools.set("dnsmasq", { is: "hanging" });
  for (const sessions of [1, 2, 3]) {
    const { value, tookMs } = await dataPath.apply(planOf(sessions));
    expect(value).toMatchObject({ peers: sessions, drift: [] });
    expect(tookMs).toBeLessThan(3_000);
  }
  await until("it is told", async () => (await dataPath.compare()).value.resolver !== undefined, 30_000);
  tools.set("dnsmasq", { is: "real" });
  await until("it runs", async () => (await dataPath.compare()).value.resolver === undefined, 30_000);
});

test(title("what somebody else takes away is named, and comes back"), here, async () => {
  const { start, run } = await instance("dp-drift");
  const dataPath = start();
  await dataPath.apply(planOf(2));
  const damages: readonly [how: string, words: RegExp][] = [
    ["nft delete table inet connector", /^table inet connector is missing$/],
    ["nft flush chain inet connector forward", /^chain forward lacks \d of \d rules$/],
    ["ip link set connector0 down", /^connector0 is down$/],
    ["ip route del 172.18.140.0/28 dev connector0", /^connector0 lacks the route 172\.18\.140\.0\/28$/],
    ["wg set connector0 peer $(wg show connector0 peers | head -1) remove", /^connector0 lacks 1 peer$/],
  ];
  for (const [how, words] of damages) {
    await run(how);
    const [first = ""] = (await dataPath.compare()).value.drift;
    expect(first, how).toMatch(words);
    expect((await dataPath.apply(planOf(2))).value, how).toMatchObject({ peers: 2, drift: [] });
    expect((await dataPath.compare()).value.drift, how).toEqual([]);
  }
});

test(title("whom an earlier agent left behind is cut off, with his connections"), here, async () => {
  const { start, run } = await instance("dp-left");
  const first = start();
  await first.apply(planOf(2));
  const entry = "-p tcp --sport 40000 --dport 80 --state ESTABLISHED -t 600";
  await run(
    `conntrack -I -s 172.18.140.0 -d 10.0.0.1 ${entry}; conntrack -I -s 172.18.140.1 -d 10.0.0.1 ${entry}`,
  );
  await first.kill();
  const next = start();
  expect((await next.apply({ ...planOf(2), peers: planOf(2).peers.slice(0, 1) })).value).toMatchObject({
    peers: 1,
  });
  const known = () => run("conntrack -L -p tcp 2>/dev/null | grep -o 'src=172.18.140.[0-9]*'");
  await until("only the other's are known", async () => (await known()) === "src=172.18.140.0");
});

test(title("connections that cannot be ended are told, and ended as soon as they can be"), here, async () => {
  const { tools, start, run } = await instance("dp-linger");
  const dataPath = start();
  await dataPath.apply(planOf(1));
  await run(
    "conntrack -I -s 172.18.140.0 -d 10.0.0.1 -p tcp --sport 40000 --dport 80 --state ESTABLISHED -t 600",
  );
  tools.set("conntrack", { is: "missing" });
  expect((await dataPath.apply(planOf(0))).value).toMatchObject({ peers: 0, drift: [] });
  await until("it is told", async () => (await dataPath.compare()).value.lingering !== undefined);
  tools.set("conntrack", { is: "real" });
  await until("it is over", async () => (await dataPath.compare()).value.lingering === undefined, 20_000);
  expect(await run("conntrack -L -p tcp 2>/dev/null | grep -c 172.18.140.0")).toBe("0");
});

test(title("an instance that leaves while something changes leaves nothing behind"), here, async () => {
  const { tools, start, run } = await instance("dp-leave");
  for (const slow of ["nft", "ip", "dnsmasq"] as const) {
    const dataPath = start();
    await dataPath.apply(planOf(2));
    tools.set(slow, { is: "slow" });
    expect((await dataPath.leave(planOf(0, { dns: { primary: "172.18.0.3" } }))).value).toEqual([]);
    const left = "nft list tables; ip -br link show dev connector0 2>/dev/null; ss -Hlun 'sport = :53'";
    expect([slow, await run(left)]).toEqual([slow, ""]);
    tools.set(slow, { is: "real" });
  }
});
