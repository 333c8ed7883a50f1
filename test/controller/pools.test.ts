import { describe, expect, test } from "vitest";
import { FakeAgent } from "./fakes.ts";
import { Harness } from "./harness.ts";
import { activeInstance, Ec2, otpFor, withConnector, withTwoGroups } from "./peers.ts";

function setUp(change = {}) {
  const h = new Harness();
  withTwoGroups(h, change);
  const names = [new Ec2(), new Ec2()].map((ec2) => {
    const link = ec2.enrol(h, otpFor(h).secret);
    return h.heard(link, "enrolled")[0]?.name ?? "";
  });
  const set = (instance: number, ipv4: string[], ipv6: string[] = [], pool = "Pool1") =>
    h.ask({
      command: "instance.pools.set",
      instance: names[instance] ?? "",
      pools: { [pool]: { ipv4, ipv6 } },
    });
  return { h, names, set };
}

describe("a pool is refused", () => {
  test.each([
    ["no prefix at all", ["10.0.1.x/28"], [], "prefix.malformed"],
    ["an address without a length", ["10.0.1.16"], [], "prefix.malformed"],
    ["host bits", ["10.0.1.33/28"], [], "prefix.host-bits"],
    ["a /27", ["10.0.1.32/27"], [], "prefix.length"],
    ["a /29", ["10.0.1.32/29"], [], "prefix.length"],
    ["a /81", [], ["2001:db8::/81"], "prefix.length"],
    ["a /124 where pools must match exactly", [], ["2001:db8::10/124"], "prefix.length"],
    ["another spelling than the canonical one", [], ["2001:DB8::/80"], "prefix.malformed"],
    ["an IPv6 prefix among the IPv4 ones", ["2001:db8::/80"], [], "prefix.malformed"],
    ["one prefix twice", ["10.0.1.16/28", "10.0.1.16/28"], [], "prefix.overlap"],
  ] as const)("%s", (_what, ipv4, ipv6, code) => {
    const { h, set } = setUp();
    const answer = set(0, [...ipv4], [...ipv6]);
    expect(answer.ok ? "accepted" : answer.failure.code).toBe(code);
    expect(h.views.instances().flatMap(({ userGroupAssociations }) => userGroupAssociations)).toEqual([]);
  });

  test("with everything that is wrong, not the first of it", () => {
    const { h, names } = setUp();
    const pools = {
      Pool1: { ipv4: ["10.0.1.33/28", "10.0.1.64/28"], ipv6: ["2001:db8::/81"] },
      Pool3: { ipv4: ["10.0.1.64/28"], ipv6: [] },
    };
    const answer = h.ask({ command: "instance.pools.set", instance: names[0] ?? "", pools });
    expect(answer).toMatchObject({
      ok: false,
      failure: {
        code: "prefix.host-bits",
        problems: [
          { field: "Pool1.ipv4.0", value: "10.0.1.33/28", problem: expect.stringContaining("10.0.1.32/28") },
          { field: "Pool1.ipv6.0", problem: expect.stringContaining("[prefix.length]") },
          { field: "Pool3", problem: expect.stringContaining("pools of this connector: Pool1, Pool2") },
          { field: "Pool3.ipv4.0", problem: expect.stringContaining("[prefix.overlap]") },
        ],
      },
    });
  });

  test("when the other instance has the prefix, and the refusal names that instance and its pool", () => {
    const { set, names } = setUp();
    expect(set(0, ["10.0.1.16/28"], ["2001:db8:1::/80"], "Pool2").ok).toBe(true);
    const answer = set(1, ["10.0.1.16/28"]);
    expect(answer).toMatchObject({
      ok: false,
      failure: { code: "prefix.overlap", facts: { instance: names[0], pool: "Pool2", with: "10.0.1.16/28" } },
    });
    expect(set(1, [], ["2001:db8:1::/80"])).toMatchObject({ ok: false });
  });

  test("when two pools of one instance share a prefix", () => {
    const { h, names } = setUp();
    const ranges = { ipv4: ["10.0.1.16/28"], ipv6: [] };
    const pools = { Pool1: ranges, Pool2: ranges };
    expect(h.refused({ command: "instance.pools.set", instance: names[0] ?? "", pools })).toBe(
      "prefix.overlap",
    );
  });

  test("when the connector has no pool of that name, and the refusal lists those it has", () => {
    const { set } = setUp();
    expect(set(0, ["10.0.1.16/28"], [], "Pool3")).toMatchObject({
      failure: { code: "admin.invalid", facts: { problem: "pools of this connector: Pool1, Pool2" } },
    });
  });

  test("of two that race for one prefix, the second", () => {
    const { h, names } = setUp();
    h.isHolding = true;
    const pools = { Pool1: { ipv4: ["10.0.1.16/28"], ipv6: [] } };
    const ids = names.map((instance) => h.begin({ command: "instance.pools.set", instance, pools }));
    expect(h.answers.size, "nothing is answered before it is stored").toBeGreaterThan(0);
    expect(ids.map((id) => h.answers.get(id))).toEqual([undefined, undefined]);
    h.release();
    expect(ids.map((id) => h.answers.get(id)?.ok)).toEqual([true, false]);
  });
});

describe("a pool is accepted", () => {
  test("and replaced by itself", () => {
    const { set } = setUp();
    expect(set(0, ["10.0.1.16/28", "10.0.1.32/28"], ["2001:db8::/80"]).ok).toBe(true);
    expect(set(0, ["10.0.1.32/28"]).ok).toBe(true);
  });

  test("as a range inside a /80 where the connector says within, and exact is refused afterwards", () => {
    const { h, set } = setUp({ ipv6PoolMatch: "within" });
    expect(set(0, ["172.18.128.176/28"], ["2600:1f18:2a89:703:275::10/124"]).ok).toBe(true);
    expect(set(1, [], ["2600:1f18:2a89:703::/79"])).toMatchObject({ failure: { code: "prefix.length" } });
    const change = { ipv6PoolMatch: "exact" } as const;
    expect(h.refused({ command: "connector.update", connector: "prod", change })).toBe("prefix.length");
  });

  test("and reaches the agent at once, and only what changed", () => {
    const { h, names } = setUp();
    const name = names[0] ?? "";
    const ec2 = new Ec2();
    const link = ec2.enrol(h, otpFor(h).secret);
    const agent = new FakeAgent(h).on(link);
    const own = h.heard(link, "enrolled")[0]?.name ?? "";
    h.do({
      command: "instance.pools.set",
      instance: own,
      pools: { Pool2: { ipv4: ["10.0.2.16/28"], ipv6: [] }, Pool1: { ipv4: [], ipv6: [] } },
    });
    expect(agent.desired.get("pool/Pool2")).toEqual({
      group: "guests",
      leaseMinutes: 60,
      ipv4: ["10.0.2.16/28"],
      ipv6: [],
    });
    expect([...agent.desired.keys()].sort()).toEqual(["connector", "pool/Pool2"]);
    const frames = h.heard(link, "state").length;
    h.do({ command: "instance.drain", instance: name });
    expect(h.heard(link, "state"), "another instance's drain is not its business").toHaveLength(frames);
    h.do({ command: "instance.drain", instance: own });
    expect(h.heard(link, "state").at(-1)).toMatchObject({
      set: [["drain", { sinceMs: h.wallMs }]],
      remove: [],
    });
    h.do({ command: "instance.resume", instance: own });
    expect(agent.desired.has("drain")).toBe(false);
  });
});

test("a group's pool cannot be taken from a connector whose instances have ranges in it", () => {
  const h = new Harness();
  withConnector(h);
  const { name } = activeInstance(h);
  const change = { groups: [] };
  expect(h.refused({ command: "connector.update", connector: "prod", change })).toBe("admin.conflict");
  h.do({ command: "instance.pools.set", instance: name, pools: {} });
  h.do({ command: "connector.update", connector: "prod", change });
  expect(h.views.groups()).toMatchObject([{ name: "staff", connector: null, pool: null }]);
});
