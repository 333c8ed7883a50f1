import { expect, test } from "vitest";
import { obstacle, title } from "../lab/vpc-fixture.ts";
import type { DataPathChild } from "../support/datapath.ts";
import type { ToolState } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { instance, planOf } from "./datapath-instance.ts";

/** A host that is not as the data path needs it: what is told, and that nothing more is needed once it is. */

const here = { skip: obstacle !== undefined, timeout: 60_000 };

async function comes(dataPath: DataPathChild): Promise<void> {
  await until(
    "it is applied",
    async () => (await dataPath.apply(planOf(1)).catch(() => undefined))?.value.peers === 1,
  );
  expect((await dataPath.compare()).value.drift).toEqual([]);
}

test(title("programs of the tunnel that are missing, fail or hang are named"), here, async () => {
  const { tools, start, run } = await instance("dp-tools");
  const dataPath = start();
  const cases: readonly [program: "ip" | "wireguard-go", state: ToolState, error: string][] = [
    ["ip", { is: "missing" }, "ip is not installed"],
    ["ip", { is: "failing", says: "Object is unknown" }, "Object is unknown"],
    ["wireguard-go", { is: "missing" }, "wireguard-go is not installed"],
    ["wireguard-go", { is: "failing", says: "ERROR: no tun device" }, "ERROR: no tun device"],
    ["wireguard-go", { is: "hanging" }, "no control socket within 5000 ms"],
  ];
  for (const [program, state, error] of cases) {
    tools.set(program, state);
    const refusal = await dataPath.refusal(planOf(1));
    expect(refusal, `${program} ${state.is}`).toMatchObject({
      command: expect.stringContaining(program),
      error,
    });
    tools.set(program, { is: "real" });
  }
  expect(await run("ip -br link show dev connector0")).toMatch(/does not exist/);
  await comes(dataPath);
});

test(title("a folder in which wireguard-go can make no socket is named"), here, async () => {
  const { start, run } = await instance("dp-socket");
  const dataPath = start();
  await run("rm -rf /run/wireguard; touch /run/wireguard");
  expect(await dataPath.refusal(planOf(1))).toMatchObject({
    error: "/var/run/wireguard cannot be written: EEXIST",
  });
  await run("rm /run/wireguard");
  await comes(dataPath);
});

test(title("an interface of the same name is left to whom it belongs"), here, async () => {
  const { start, run } = await instance("dp-taken");
  const dataPath = start();
  await run("ip link add connector0 type veth peer name other");
  expect(await dataPath.refusal(planOf(1))).toEqual({
    ok: false,
    interface: "connector0",
    error: "an interface of this name is not WireGuard",
  });
  expect(await run("ip -d link show connector0")).toContain("veth");
  await run("ip link del connector0");
  // A tunnel whose process nobody here can ask, as a VPN client's.
  const elsewhere = "mount -t tmpfs none /run/wireguard && exec wireguard-go -f connector0";
  await run(`mkdir -p /run/wireguard; (setsid unshare -m sh -c '${elsewhere}' > /dev/null 2>&1 &)`);
  await until("it is there", async () => (await run("ip -br link")).includes("connector0"));
  for (const error of ["first", "and again"].map(
    () => "Failed to create TUN device: device or resource busy",
  )) {
    expect(await dataPath.refusal(planOf(1))).toMatchObject({ error });
  }
  await run("ip link del connector0");
  await comes(dataPath);
});

test(title("a table that another version has made is replaced as a whole"), here, async () => {
  const { start, run } = await instance("dp-old-table");
  const old = [
    "map users4 { type ipv4_addr : verdict; elements = { 10.0.0.1 : drop }; }",
    "set opened { type ipv4_addr; }",
    "set dns4_x { type ipv4_addr; flags interval; }",
    "counter old { }",
    "chain forward { type filter hook forward priority 10; policy drop; ip saddr 10.0.0.1 accept; }",
    "chain postrouting { type nat hook postrouting priority 100; masquerade; }",
  ];
  expect(await run(`nft 'table inet connector { ${old.join("; ")}; }'`)).toBe("");
  await comes(start());
  expect(await run("nft list table inet connector | grep -cE 'masquerade|10.0.0.1|policy drop|dns4_x'")).toBe(
    "0",
  );
});

test(title("a resolver, and a conntrack, that fail are told beside packets that pass"), here, async () => {
  const { tools, start } = await instance("dp-beside");
  const dataPath = start();
  tools.set("dnsmasq", { is: "failing", says: "dnsmasq: cannot" });
  tools.set("conntrack", { is: "failing", says: "Operation failed: Operation not permitted" });
  expect((await dataPath.apply(planOf(2))).value).toMatchObject({
    ...{ peers: 2, drift: [] },
    resolver: { facts: { error: "dnsmasq: cannot" } },
  });
  expect((await dataPath.apply(planOf(1))).value).toMatchObject({ peers: 1, drift: [] });
  const lingering = await until("it is told", async () => (await dataPath.compare()).value.lingering);
  expect(lingering).toMatchObject({ facts: { error: "Operation failed: Operation not permitted" } });
});
