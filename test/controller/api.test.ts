import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endpointNames, endpointOf } from "../../controller/api/endpoints.ts";
import type { RestartRow } from "../../controller/core/restart-row.ts";
import { put } from "../../controller/core/rows.ts";
import { send } from "./http.ts";
import { ids, type Served, serveReal } from "./served.ts";

let served: Served;
beforeAll(async () => {
  served = await serveReal(3, [put("restart", running)]);
});
afterAll(() => served[Symbol.asyncDispose]());

const first = "aws-us-east-1-con-00001";
const second = "aws-us-east-1-con-00002";

/** Asks and expects success; the body. */
async function ok(method: string, path: string, body?: unknown) {
  const answer = await send(served, method, path, body === undefined ? {} : { body });
  expect(answer.status, answer.text).toBeLessThan(300);
  tried.add(`${method} ${patternOf(method, path)}`);
  return answer.json;
}

async function refused(method: string, path: string, body?: unknown) {
  const answer = await send(served, method, path, body === undefined ? {} : { body });
  return [answer.status, answer.json.code, answer.json.problems?.[0]?.field].filter(
    (part) => part !== undefined,
  );
}

/** It stands still: nobody is judged before the group is back. */
const running: RestartRow = {
  ...{ name: "prod", restartId: ids.session(99), minActive: 1, startedAtMs: 1, startedBy: "token:ci" },
  ...{ outcome: null, steps: [{ instance: ids.instance(1), name: "one", stage: { is: "queued" } }] },
};

const tried = new Set<string>();

function patternOf(method: string, path: string): string {
  const fits = endpointNames
    .map(endpointOf)
    .find((endpoint) => endpoint.method === method && pattern(endpoint.path).test(path.split("?")[0] ?? ""));
  return fits?.path ?? path;
}

const pattern = (path: string) => new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`);

const input = {
  name: "Größe 2",
  hosting: "aws",
  mode: "active-active",
  region: "eu-central-1",
  dns: { primary: "10.1.0.2", secondaryIpv6: "2001:db8::53" },
};

describe("connectors", () => {
  test("are created with the product's defaults, shown, changed and deleted", async () => {
    const created = await ok("POST", "/v1/connectors", input);
    expect(created).toMatchObject({
      ...input,
      groups: [],
      ipv6PoolMatch: "exact",
      status: "Configured",
      instancesMax: 64,
    });
    const path = `/v1/connectors/${encodeURIComponent(input.name)}`;
    expect(await ok("GET", path)).toEqual(created);
    expect((await ok("GET", "/v1/connectors")).items.map(({ name }: { name: string }) => name)).toContain(
      "prod",
    );
    expect(await ok("PATCH", path, { ipv6PoolMatch: "within" })).toEqual({
      ...created,
      ipv6PoolMatch: "within",
    });
    expect(await refused("POST", "/v1/connectors", input)).toEqual([409, "admin.conflict"]);
    expect(await refused("PATCH", path, { name: "other" })).toEqual([400, "admin.invalid", "name"]);
    expect((await ok("DELETE", path)).name).toBe(input.name);
    expect(await refused("GET", path)).toEqual([404, "admin.not-found"]);
    expect(await refused("DELETE", path)).toEqual([404, "admin.not-found"]);
  });

  test("with instances are not deleted", async () => {
    expect(await refused("DELETE", "/v1/connectors/prod")).toEqual([409, "admin.conflict"]);
  });

  test("other than active-standby have nothing to fail over to", async () => {
    const path = "/v1/connectors/prod/failover";
    expect(await refused("POST", path, {})).toEqual([409, "admin.conflict", "mode"]);
    expect(await refused("POST", path, { to: first })).toEqual([409, "admin.conflict", "mode"]);
    expect(await refused("POST", path, { at: first })).toEqual([400, "admin.invalid", "at"]);
  });

  test("have enterprise resources that are set again without harm", async () => {
    const resource = {
      name: "wiki",
      destination: { domain: "wiki.example.internal" },
      protocol: "tcp",
      ports: [{ from: 443, to: 443 }],
      serverInitiated: false,
      groups: ["Sales"],
    };
    const path = "/v1/connectors/prod/resources";
    for (let i = 0; i < 2; i++)
      expect((await ok("PUT", `${path}/wiki`, resource)).resources).toEqual([resource]);
    expect((await ok("GET", path)).items).toEqual([resource]);
    expect(await refused("PUT", `${path}/other`, resource)).toEqual([400, "admin.invalid", "name"]);
    expect(await refused("PUT", `${path}/wiki`, { ...resource, protocol: "icmp" })).toEqual([
      400,
      "admin.invalid",
      "ports",
    ]);
    expect((await ok("DELETE", `${path}/wiki`)).resources).toEqual([]);
    expect(await refused("DELETE", `${path}/wiki`)).toEqual([404, "admin.not-found"]);
  });
});

test("Device-User-Groups are created, listed and deleted when nothing uses them", async () => {
  expect(await ok("POST", "/v1/device-user-groups", { group: "Interns" })).toMatchObject({
    name: "Interns",
    connector: null,
  });
  expect((await ok("GET", "/v1/device-user-groups")).items).toContainEqual(
    expect.objectContaining({ name: "Sales", connector: "prod", pool: "Pool1", devices: 2 }),
  );
  expect(await refused("DELETE", "/v1/device-user-groups/Sales")).toEqual([409, "admin.conflict"]);
  expect((await ok("DELETE", "/v1/device-user-groups/Interns")).name).toBe("Interns");
});

test("one-time passwords show their secret once", async () => {
  const created = await ok("POST", "/v1/connectors/prod/otps", { lifeMinutes: 10 });
  expect(created.secret).toMatch(/^otp_\w{26,}$/);
  expect(created.expiresAtMs - created.createdAtMs).toBe(600_000);
  const listed = await send(served, "GET", "/v1/otps?connector=prod");
  await ok("GET", "/v1/otps");
  expect(listed.text).not.toContain(created.secret);
  expect(listed.json.items).toContainEqual(
    expect.objectContaining({ id: created.id, state: "open", usedBy: null }),
  );
  expect((await ok("DELETE", `/v1/otps/${created.id}`)).state).toBe("revoked");
  expect((await ok("POST", "/v1/connectors/prod/otps", {})).expiresAtMs).toBeGreaterThan(
    Date.now() + 86_000_000,
  );
  expect(await refused("POST", "/v1/connectors/nope/otps", {})).toEqual([404, "admin.not-found"]);
  expect(await refused("POST", "/v1/connectors/prod/otps", { lifeMinutes: 0 })).toEqual([
    400,
    "admin.invalid",
    "lifeMinutes",
  ]);
  expect(await refused("GET", "/v1/otps?connector=nope")).toEqual([404, "admin.not-found"]);
  expect(await refused("DELETE", "/v1/otps/nope")).toEqual([400, "admin.invalid", "otp"]);
});

describe("instances", () => {
  test("are listed with the product's columns first, in its order", async () => {
    const { items } = await ok("GET", "/v1/instances?connector=prod");
    expect(Object.keys(items[0]).slice(0, 8)).toEqual([
      "name",
      "providerInstanceId",
      "status",
      "managementIp",
      "activeAgents",
      "userGroupAssociations",
      "version",
      "upSinceMs",
    ]);
    expect(items[0]).toMatchObject({
      name: first,
      status: "Offline",
      managementIp: "172.18.140.76",
      conditions: [],
      prefixes: null,
    });
    expect(await ok("GET", `/v1/instances/${first}`)).toEqual(items[0]);
    expect(await refused("GET", "/v1/instances/nope")).toEqual([404, "admin.not-found"]);
    expect(await refused("GET", "/v1/instances?connector=nope")).toEqual([404, "admin.not-found"]);
  });

  test("get their pools whole, and again without harm", async () => {
    const pools = {
      Pool1: { ipv4: ["172.18.128.176/28"], ipv6: ["2600:1f18:2a89:703::/80"] },
      Pool2: { ipv4: ["172.18.128.192/28"] },
    };
    for (let i = 0; i < 2; i++) {
      const view = await ok("PUT", `/v1/instances/${first}/pools`, pools);
      expect(view.userGroupAssociations).toEqual([
        { group: "Sales", pool: "Pool1" },
        { group: "Guests", pool: "Pool2" },
      ]);
    }
    const { pools: after } = await ok("PUT", `/v1/instances/${first}/pools`, { Pool1: pools.Pool1 });
    expect(after).toMatchObject([
      { pool: "Pool1", ...pools.Pool1 },
      { pool: "Pool2", ipv4: [], ipv6: [] },
    ]);
  });

  test.each<[string, unknown, unknown[]]>([
    ["a /27", { Pool1: { ipv4: ["172.18.130.0/27"] } }, [400, "prefix.length"]],
    ["a /81", { Pool1: { ipv6: ["2600:1f18:2a89:704::/81"] } }, [400, "prefix.length"]],
    ["host bits", { Pool1: { ipv4: ["172.18.130.1/28"] } }, [400, "prefix.host-bits"]],
    ["no prefix", { Pool1: { ipv4: ["172.18.130.1"] } }, [400, "prefix.malformed"]],
    ["IPv6 among IPv4", { Pool1: { ipv4: ["2600:1f18:2a89:704::/80"] } }, [400, "prefix.malformed"]],
    ["another spelling", { Pool1: { ipv6: ["2600:1F18:2A89:0704::/80"] } }, [400, "prefix.malformed"]],
    ["another instance's", { Pool1: { ipv4: ["172.18.128.176/28"] } }, [409, "prefix.overlap"]],
    [
      "one twice",
      { Pool1: { ipv4: ["172.18.130.0/28"] }, Pool2: { ipv4: ["172.18.130.0/28"] } },
      [409, "prefix.overlap"],
    ],
    ["an unknown pool", { Pool9: { ipv4: ["172.18.130.0/28"] } }, [400, "admin.invalid"]],
    ["an unknown field", { Pool1: { ip4: ["172.18.130.0/28"] } }, [400, "admin.invalid", "Pool1.ip4"]],
    ["a text for a list", { Pool1: { ipv4: "172.18.130.0/28" } }, [400, "admin.invalid", "Pool1.ipv4"]],
  ])("refuse a pool with %s", async (_, body, expected) => {
    expect(await refused("PUT", `/v1/instances/${second}/pools`, body)).toEqual(expected);
    expect((await ok("GET", `/v1/instances/${second}`)).userGroupAssociations).toEqual([]);
  });

  test("are told by a refusal which prefix was meant", async () => {
    const answer = await send(served, "PUT", `/v1/instances/${second}/pools`, {
      body: { Pool1: { ipv4: ["172.18.130.1/28"] } },
    });
    expect(answer.json.facts).toMatchObject({ prefix: "172.18.130.1/28", use: "172.18.130.0/28" });
  });

  test("drain, resume and go", async () => {
    expect((await ok("POST", `/v1/instances/${second}/drain`)).drain).toBe(true);
    expect((await ok("POST", `/v1/instances/${second}/drain`)).drain).toBe(true);
    expect((await ok("POST", `/v1/instances/${second}/resume`)).drain).toBe(false);
    expect((await ok("DELETE", `/v1/instances/${second}`)).name).toBe(second);
    expect(await refused("POST", `/v1/instances/${second}/drain`)).toEqual([404, "admin.not-found"]);
  });
});

test("join codes show their secret once", async () => {
  const created = await ok("POST", "/v1/device-codes", { user: "alice@example.com", group: "Sales" });
  expect(created.secret).toMatch(/^code_\w{26,}$/);
  const listed = await ok("GET", "/v1/device-codes");
  expect(JSON.stringify(listed)).not.toContain(created.secret);
  expect((await ok("DELETE", `/v1/device-codes/${created.id}`)).state).toBe("revoked");
  expect(await refused("POST", "/v1/device-codes", { user: "alice", group: "Nope" })).toEqual([
    404,
    "admin.not-found",
  ]);
});

test("devices come in pages and are removed", async () => {
  const page = await ok("GET", "/v1/devices?limit=2");
  expect([page.items.map(({ name }: { name: string }) => name), page.next]).toEqual([
    ["laptop1", "laptop2"],
    ids.device(2),
  ]);
  const rest = await ok("GET", `/v1/devices?limit=2&after=${page.next}`);
  expect([rest.items.map(({ name }: { name: string }) => name), rest.next]).toEqual([["laptop3"], null]);
  expect(await ok("GET", `/v1/devices/${ids.device(3)}`)).toEqual(rest.items[0]);
  expect((await ok("DELETE", `/v1/devices/${ids.device(3)}`)).name).toBe("laptop3");
  expect(await refused("GET", `/v1/devices/${ids.device(3)}`)).toEqual([404, "admin.not-found"]);
});

test("sessions are listed, shown and ended", async () => {
  const { items } = await ok("GET", "/v1/sessions?limit=1");
  expect(items[0]).toMatchObject({
    id: ids.session(1),
    state: "waiting",
    deviceName: "laptop1",
    user: "user1@example.com",
  });
  expect(await ok("GET", `/v1/sessions/${ids.session(1)}`)).toEqual(items[0]);
  expect((await ok("GET", `/v1/sessions?instance=${first}`)).items).toEqual([]);
  expect(await refused("GET", "/v1/sessions?instance=nope")).toEqual([404, "admin.not-found"]);
  expect((await ok("DELETE", `/v1/sessions/${ids.session(1)}`)).id).toBe(ids.session(1));
});

test("tokens are made, work at once, and stop working when revoked", async () => {
  const created = await ok("POST", "/v1/tokens", { name: "ci" });
  expect(await refused("POST", "/v1/tokens", { name: "ci" })).toEqual([409, "admin.conflict"]);
  const asCi = { token: created.secret };
  expect((await send(served, "GET", "/v1/connectors", asCi)).status).toBe(200);
  const listed = await ok("GET", "/v1/tokens");
  expect(JSON.stringify(listed)).not.toContain(created.secret);
  expect(listed.items).toContainEqual({
    name: "ci",
    createdAtMs: created.createdAtMs,
    createdBy: "token:admin",
    lastUsedMs: expect.any(Number),
  });
  await ok("DELETE", "/v1/tokens/ci");
  expect((await send(served, "GET", "/v1/connectors", asCi)).status).toBe(401);
});

test("the audit log says who changed what, before and after, and holds no secret", async () => {
  const { secret } = await ok("POST", "/v1/connectors/prod/otps", {});
  await ok("PATCH", "/v1/connectors/prod", { dns: { primary: "10.0.0.3" } });
  const { items } = await ok("GET", "/v1/audit?subject=connector/prod&action=connector.update");
  expect(items[0]).toMatchObject({
    actor: "token:admin",
    before: { dns: { primary: "10.0.0.2" } },
    after: { dns: { primary: "10.0.0.3" } },
  });
  const all = await send(served, "GET", "/v1/audit?limit=1000");
  expect([all.text.includes(secret), all.text.includes('"hash"')]).toEqual([false, false]);
});

test("a refusal changes nothing, also not the audit log", async () => {
  const before = (await ok("GET", "/v1/audit?limit=1")).items[0].id;
  await refused("POST", "/v1/device-user-groups", { group: "Sales" });
  expect((await ok("GET", "/v1/audit?limit=1")).items[0].id).toBe(before);
});

test("a rolling restart is shown and cancelled, and refused where no instance is there to be restarted", async () => {
  const path = "/v1/connectors/prod/restart";
  const step = { instance: "one", state: "queued", why: null, sinceMs: null, left: null, withoutPlace: null };
  expect(await ok("GET", path)).toMatchObject({
    ...{ connector: "prod", state: "running", at: "one", restarted: 0, instances: 1, endedBy: null },
    steps: [{ ...step, untilMs: null }],
  });
  expect((await ok("GET", "/v1/connectors/prod")).restart).toMatchObject({ state: "running", at: "one" });
  expect(await refused("POST", path, {})).toEqual([409, "admin.conflict"]);
  expect(await refused("POST", path, { minActive: 64 })).toEqual([400, "admin.invalid", "minActive"]);
  expect(await ok("DELETE", path)).toMatchObject({ state: "cancelled", endedBy: "token:admin" });
  expect(await refused("DELETE", path)).toEqual([409, "admin.conflict"]);
  expect(await refused("POST", path, {})).toEqual([409, "admin.conflict"]);
  expect(await refused("GET", "/v1/connectors/none/restart")).toEqual([404, "admin.not-found"]);
});

/** They take instances that are Active: test/e2e. */
const elsewhere = ["POST /v1/connectors/:connector/failover", "POST /v1/connectors/:connector/restart"];

test("every endpoint was tried with success, but those that need instances that are Active", () => {
  const known = endpointNames.map(endpointOf).map(({ method, path }) => `${method} ${path}`);
  expect(known.filter((endpoint) => !tried.has(endpoint))).toEqual(elsewhere);
});
