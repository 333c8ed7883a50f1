import { connect } from "node:tls";
import { expect, test } from "vitest";
import { endpointNames, endpointOf } from "../../controller/api/endpoints.ts";
import { ErrorBody } from "../../controller/api/problem.ts";
import { fakeAudit, goodToken, serveFake } from "./fake-admin.ts";
import { send } from "./http.ts";

test("every endpoint asks for a token, and takes none from the URL", async () => {
  await using http = await serveFake({}, { failedPerMinute: 1000 });
  for (const name of endpointNames) {
    const { method, path } = endpointOf(name);
    const url = path.replace(/:\w+/g, "x");
    for (const sent of [
      { token: null },
      { token: "wrong" },
      { token: null, headers: { authorization: "Basic eA==" } },
    ]) {
      const answer = await send(http, method, url, sent);
      expect([name, answer.status, answer.json.code]).toEqual([name, 401, "admin.unauthorised"]);
      expect(answer.headers["www-authenticate"]).toContain("Bearer");
    }
  }
  expect((await send(http, "GET", `/v1/connectors?token=${goodToken}`, { token: null })).status).toBe(401);
});

test("health and description ask for no token, metrics do", async () => {
  await using http = await serveFake();
  expect((await send(http, "GET", "/livez", { token: null })).json).toEqual({ status: "ok" });
  expect((await send(http, "GET", "/readyz", { token: null })).json).toEqual({ status: "ok" });
  expect((await send(http, "GET", "/openapi.json", { token: null })).status).toBe(200);
  expect((await send(http, "GET", "/metrics", { token: null })).status).toBe(401);
  const metrics = await send(http, "GET", "/metrics");
  expect(metrics.headers["content-type"]).toContain("text/plain");
  expect(metrics.text).toContain('connector_controller_instances{status="Active"} 2');
  expect(metrics.text).toContain('connector_controller_refused_total{code="otp.used"} 2');
  // What was counted is not counted again by looking a second time.
  expect((await send(http, "GET", "/metrics")).text).toContain("connector_controller_placements_total 12\n");
});

test("a controller that is not ready says why", async () => {
  await using http = await serveFake({ notReady: () => "store.failing" });
  const answer = await send(http, "GET", "/readyz", { token: null });
  expect([answer.status, answer.json.code]).toEqual([503, "store.failing"]);
});

test("wrong tokens are limited per address, with Retry-After, and a right one still gets in", async () => {
  await using http = await serveFake({}, { failedPerMinute: 3 });
  const statuses = [];
  for (let i = 0; i < 5; i++)
    statuses.push((await send(http, "GET", "/v1/connectors", { token: `guess${i}` })).status);
  expect(statuses).toEqual([401, 401, 401, 429, 429]);
  const limited = await send(http, "GET", "/v1/connectors", { token: null });
  expect(limited.json.code).toBe("admin.rate-limited");
  expect(Number(limited.headers["retry-after"])).toBeGreaterThan(0);
  expect((await send(http, "GET", "/v1/connectors")).status).toBe(200);
});

test("requests are limited per address, with Retry-After, also to paths that do not exist", async () => {
  await using http = await serveFake({}, { requestsPerMinute: 4 });
  for (let i = 0; i < 4; i++) expect((await send(http, "GET", "/v1/connectors")).status).toBe(200);
  const limited = await send(http, "GET", "/v1/connectors");
  expect([limited.status, limited.json.code]).toEqual([429, "admin.rate-limited"]);
  expect(Number(limited.headers["retry-after"])).toBeGreaterThan(0);
  expect((await send(http, "GET", "/nothing")).status).toBe(429);
});

test.each<[string, string, string, unknown, Record<string, string>, number, string]>([
  ["an unknown path", "GET", "/v1/nothing", undefined, {}, 404, "admin.not-found"],
  ["another method", "PUT", "/v1/connectors", "{}", {}, 405, "admin.method"],
  ["another method on health", "POST", "/livez", "{}", {}, 405, "admin.method"],
  ["a broken escape", "GET", "/v1/connectors/%zz", undefined, {}, 400, "admin.invalid"],
  ["no JSON", "POST", "/v1/connectors", "{", {}, 400, "admin.not-json"],
  [
    "an empty body",
    "POST",
    "/v1/connectors",
    "",
    { "content-type": "application/json" },
    400,
    "admin.not-json",
  ],
  ["no body", "POST", "/v1/connectors", undefined, {}, 400, "admin.invalid"],
  [
    "another media type",
    "POST",
    "/v1/connectors",
    "name=a",
    { "content-type": "text/plain" },
    400,
    "admin.not-json",
  ],
  [
    "a prototype",
    "POST",
    "/v1/device-user-groups",
    '{"group":"a","__proto__":{"x":1}}',
    {},
    400,
    "admin.not-json",
  ],
  [
    "a constructor",
    "POST",
    "/v1/device-user-groups",
    '{"group":"a","constructor":{"prototype":{}}}',
    {},
    400,
    "admin.not-json",
  ],
  ["too much", "POST", "/v1/connectors", "x".repeat(256 * 1024 + 1), {}, 413, "admin.too-large"],
  [
    "too deep",
    "POST",
    "/v1/device-user-groups",
    `{"group":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    {},
    400,
    "admin.invalid",
  ],
])("refuses %s", async (_, method, path, body, headers, status, code) => {
  await using http = await serveFake();
  const answer = await send(http, method, path, { body, headers });
  expect([answer.status, answer.json.code]).toEqual([status, code]);
  expect(ErrorBody.parse(answer.json)).toEqual(answer.json);
  if (status === 405) expect(answer.headers.allow).toMatch(/GET/);
});

test("a wrong request is told every problem, with the field, what was given and what to give", async () => {
  await using http = await serveFake();
  const body = {
    name: "-bad-",
    hosting: "awz",
    mode: 1,
    region: "us-east-1",
    dns: { primry: "10.0.0.2" },
    groups: [{ group: "Sales", pool: "Pool1", leaseMinutes: 0, leaseMinuts: 3 }],
    resources: [
      {
        name: "wiki",
        destination: { domian: "a" },
        protocol: "tcp",
        ports: [{ from: 9, to: 8 }],
        serverInitiated: "no",
        groups: [],
      },
    ],
    vpc: "vpc-1",
  };
  const answer = await send(http, "POST", "/v1/connectors", { body });
  expect(answer.status).toBe(400);
  expect(answer.json.problems).toEqual([
    {
      field: "name",
      value: "-bad-",
      problem: "has the wrong form",
      fix: "Letters, digits, spaces and . _ @ + - only.",
    },
    { field: "hosting", value: "awz", problem: "is not allowed", fix: "Did you mean aws?" },
    {
      field: "mode",
      value: "1",
      problem: "is not allowed",
      fix: "Give one of standalone, active-standby, active-active.",
    },
    { field: "dns.primary", problem: "is missing", fix: "Give a text." },
    { field: "dns.primry", value: "10.0.0.2", problem: "is not a field", fix: "Did you mean primary?" },
    {
      field: "groups.0.leaseMinutes",
      value: "0",
      problem: "is too small or too short",
      fix: "Give at least 1.",
    },
    {
      field: "groups.0.leaseMinuts",
      value: "3",
      problem: "is not a field",
      fix: "Did you mean leaseMinutes?",
    },
    { field: "resources.0.destination.cidr", problem: "is missing", fix: "Give a text." },
    {
      field: "resources.0.destination.domian",
      value: "a",
      problem: "is not a field",
      fix: "Did you mean domain?",
    },
    {
      field: "resources.0.ports.0.to",
      value: "8",
      problem: "does not fit",
      fix: "`from` must not be greater than `to`.",
    },
    { field: "resources.0.serverInitiated", value: "no", problem: "is a text", fix: "Give true or false." },
    {
      field: "resources.0.groups",
      value: "a list",
      problem: "is too small or too short",
      fix: "Give at least 1 entry.",
    },
    {
      field: "vpc",
      value: "vpc-1",
      problem: "has the wrong form",
      fix: "A VPC id like vpc-0a1b2c3d4e5f67890.",
    },
  ]);
});

test("unknown parameters of a query are refused, and pages are bounded", async () => {
  await using http = await serveFake();
  const answer = await send(http, "GET", "/v1/devices?limit=1001&aftr=x");
  expect(answer.json.problems).toEqual([
    { field: "limit", value: "1001", problem: "is too large or too long", fix: "Give at most 1000." },
    { field: "aftr", value: "x", problem: "is not a field", fix: "Did you mean after?" },
  ]);
  expect((await send(http, "GET", "/v1/connectors?x=1")).status).toBe(400);
});

test("a hostile request is not answered at length", async () => {
  await using http = await serveFake();
  const body = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`field${i}`, "x".repeat(40)]));
  const answer = await send(http, "POST", "/v1/device-user-groups", { body });
  expect(answer.json.problems).toHaveLength(32);
  expect(answer.text.length).toBeLessThan(8192);
});

test("our own defect is a 500 without its inside", async () => {
  await using http = await serveFake({
    command: async () => {
      throw new TypeError("secret inside at /home/x/controller.ts");
    },
  });
  const answer = await send(http, "POST", "/v1/device-user-groups", { body: { group: "a" } });
  expect(answer.status).toBe(500);
  expect(answer.json.code).toBe("internal");
  expect(answer.text).not.toMatch(/inside|TypeError|controller\.ts/);
});

test("an answer that breaks its schema is our defect, not the client's", async () => {
  await using http = await serveFake({
    command: async () => ({ ok: true, value: { secret: "x" } as never }),
  });
  const answer = await send(http, "POST", "/v1/device-user-groups", { body: { group: "a" } });
  expect([answer.status, answer.text.includes('"x"')]).toEqual([500, false]);
});

test("a controller that does not come back is not waited for", async () => {
  await using http = await serveFake({ command: () => new Promise(() => {}) }, { requestMs: 50 });
  const answer = await send(http, "POST", "/v1/device-user-groups", { body: { group: "a" } });
  expect([answer.status, answer.json.code]).toEqual([503, "admin.timeout"]);
});

test("what is not HTTP gets the same error body", async () => {
  await using http = await serveFake();
  const { port } = new URL(http.url);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let received = "";
  const socket = connect({ port: Number(port), host: "127.0.0.1", ca: http.ca }, () =>
    socket.write("rubbish\r\n\r\n"),
  );
  socket.on("data", (chunk) => {
    received += chunk.toString();
  });
  socket.on("error", reject).on("close", () => resolve(received));
  const [head = "", body = ""] = (await promise).split("\r\n\r\n");
  expect(head).toMatch(/^HTTP\/1\.1 400 /);
  expect(ErrorBody.parse(JSON.parse(body)).code).toBe("admin.invalid");
});

test("answers are not cached, sniffed or framed", async () => {
  await using http = await serveFake();
  const { headers } = await send(http, "GET", "/v1/connectors");
  expect(headers["cache-control"]).toBe("no-store");
  expect(headers["x-content-type-options"]).toBe("nosniff");
  expect(headers["content-security-policy"]).toContain("default-src 'none'");
  expect(headers["strict-transport-security"]).toBeDefined();
});

test("the audit log comes in pages, and a filter looks through a bounded part of it", async () => {
  await using http = await serveFake({ audit: fakeAudit(25_000) });
  const first = (await send(http, "GET", "/v1/audit?limit=2")).json;
  expect([first.items.map(({ id }: { id: number }) => id), first.next]).toEqual([[25_000, 24_999], "24999"]);
  const even = (await send(http, "GET", "/v1/audit?limit=2&before=24999&actor=token:even")).json;
  expect(even.items.map(({ id }: { id: number }) => id)).toEqual([24_998, 24_996]);
  let next: string | null = "25001";
  let pages = 0;
  const found = [];
  while (next !== null) {
    const page: { items: { id: number }[]; next: string | null } = (
      await send(http, "GET", `/v1/audit?action=connector.create&before=${next}`)
    ).json;
    found.push(...page.items);
    next = page.next;
    pages++;
  }
  expect([found.map(({ id }) => id), pages]).toEqual([[1], 3]);
});

test("the OpenAPI text has every endpoint with its schemas, and no reference that leads nowhere", async () => {
  await using http = await serveFake();
  const document = (await send(http, "GET", "/openapi.json", { token: null })).json;
  expect([document.openapi, document.info.version]).toEqual(["3.1.0", "1.2.3"]);
  for (const name of endpointNames) {
    const { method, path, body, status, params } = endpointOf(name);
    const operation = document.paths[path.replace(/:(\w+)/g, "{$1}")]?.[method.toLowerCase()];
    expect(operation, name).toMatchObject({ operationId: name, security: [{ adminToken: [] }] });
    expect(operation.requestBody?.content["application/json"].schema !== undefined, name).toBe(
      body !== undefined,
    );
    expect(operation.responses[status].content["application/json"].schema, name).toBeDefined();
    expect(operation.responses.default.content["application/json"].schema, name).toEqual({
      $ref: "#/components/schemas/Error",
    });
    const inPath = (operation.parameters ?? []).filter(
      (parameter: { in: string }) => parameter.in === "path",
    );
    expect(inPath.map((parameter: { name: string }) => parameter.name).sort(), name).toEqual(
      Object.keys(params?.shape ?? {}).sort(),
    );
  }
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
    ([, id]) => id,
  );
  expect(new Set(references)).toEqual(new Set(Object.keys(document.components.schemas)));
  const create = document.paths["/v1/connectors"].post.requestBody.content["application/json"].schema;
  expect(create.additionalProperties).toBe(false);
  expect(create.properties.dns.additionalProperties).toBe(false);
});
