import { expect, test } from "vitest";
import { instanceNumbered, interfaceNumbered } from "../../lab/imds/instance.ts";
import { imdsVersions } from "../../lab/imds/paths.ts";
import { ask, macsPath, reader, start, tokenOf } from "./imds-fixture.ts";

const tokenPath = "/latest/api/token";
const ttlHeader = "X-aws-ec2-metadata-token-ttl-seconds";
const idPath = "/latest/meta-data/instance-id";

test.each([
  ["without a TTL", {}, 400],
  ["with no number", { [ttlHeader]: "an hour" }, 400],
  ["of 0 seconds", { [ttlHeader]: "0" }, 400],
  ["of 21601 seconds", { [ttlHeader]: "21601" }, 400],
  ["of a fraction", { [ttlHeader]: "1.5" }, 400],
  ["of 1 second", { [ttlHeader]: "1" }, 200],
  ["of 21600 seconds", { [ttlHeader]: "21600" }, 200],
  ["that came through a proxy", { [ttlHeader]: "60", "X-Forwarded-For": "10.0.0.1" }, 403],
])("a token request %s", async (_what, headers, status) => {
  await using imds = await start();
  expect((await ask(imds, "PUT", tokenPath, headers)).status).toBe(status);
});

test("the token's answer repeats the TTL, later answers say what is left of it", async () => {
  let nowMs = 1_000_000;
  await using imds = await start({ now: () => nowMs });
  const answer = await ask(imds, "PUT", tokenPath, { [ttlHeader]: "100" });
  expect(answer.headers[ttlHeader.toLowerCase()]).toBe("100");
  nowMs += 30_000;
  const later = await ask(imds, "GET", idPath, { "X-aws-ec2-metadata-token": answer.body });
  expect(later.headers[ttlHeader.toLowerCase()]).toBe("70");
});

test("a token ends with its time to live", async () => {
  let nowMs = 1_000_000;
  await using imds = await start({ now: () => nowMs });
  const token = await tokenOf(imds, 60);
  nowMs += 59_999;
  expect((await ask(imds, "GET", idPath, { "X-aws-ec2-metadata-token": token })).status).toBe(200);
  nowMs += 1;
  expect((await ask(imds, "GET", idPath, { "X-aws-ec2-metadata-token": token })).status).toBe(401);
});

test("no token, a wrong, a damaged and another instance's token are 401", async () => {
  await using imds = await start();
  await using other = await start({ instance: instanceNumbered(2) });
  const mine = await tokenOf(imds);
  const tokens = ["", "AQAEAA==", `B${mine.slice(1)}`, mine.slice(0, -4), await tokenOf(other)];
  for (const token of tokens) {
    expect((await ask(imds, "GET", idPath, { "X-aws-ec2-metadata-token": token })).status).toBe(401);
  }
  expect((await ask(imds, "GET", idPath)).status).toBe(401);
  expect((await ask(imds, "GET", "/latest/no-such-thing")).status).toBe(401);
});

test("wrong methods are 405 with an empty body and the right ones named", async () => {
  await using imds = await start();
  const token = await ask(imds, "GET", tokenPath);
  expect(token).toMatchObject({ status: 405, body: "", headers: { allow: "OPTIONS, PUT" } });
  for (const method of ["PUT", "POST", "DELETE"]) expect((await ask(imds, method, idPath)).status).toBe(405);
  expect((await ask(imds, "OPTIONS", idPath)).status).toBe(200);
});

test("HEAD has the headers of GET and no body", async () => {
  await using imds = await start();
  const headers = { "X-aws-ec2-metadata-token": await tokenOf(imds) };
  const head = await ask(imds, "HEAD", idPath, headers);
  expect(head).toMatchObject({ status: 200, body: "", headers: { "content-length": "19" } });
});

test("answers look like EC2's", async () => {
  await using imds = await start({ instance: instanceNumbered(1, { userData: "#cloud-config\n" }) });
  const get = await reader(imds);
  const found = await get(idPath);
  expect(found.body).toBe("i-0e306ccdf94a1b201");
  expect(found.headers).toMatchObject({
    server: "EC2ws",
    connection: "close",
    "content-type": "text/plain",
    "accept-ranges": "none",
  });
  expect((await get("/latest/user-data")).headers["content-type"]).toBe("application/octet-stream");
  const absent = await get("/latest/meta-data/nothing");
  expect(absent.headers).toMatchObject({ server: "EC2ws", connection: "close", "content-type": "text/html" });
  expect(absent.body).toMatch(/^<\?xml version="1.0" encoding="iso-8859-1"\?>\n<!DOCTYPE html PUBLIC/);
  expect(absent.body).toContain("<title>404 - Not Found</title>");
  expect((await ask(imds, "GET", idPath)).body).toContain("<h1>401 - Unauthorized</h1>");
});

test("directories list their keys, with and without the slash at the end", async () => {
  await using imds = await start({
    instance: instanceNumbered(1, { interfaces: [interfaceNumbered(1), interfaceNumbered(1, 1)] }),
  });
  const get = await reader(imds);
  const listings: Record<string, string> = {
    "/": imdsVersions.join("\n"),
    "/latest": "dynamic\nmeta-data",
    "/latest/dynamic": "instance-identity/",
    "/latest/dynamic/instance-identity": "document\nsignature",
    "/latest/meta-data/placement": "availability-zone\nregion",
    "/latest/meta-data/network/interfaces": "macs/",
    [macsPath]: "0e:49:61:0f:00:01/\n0e:49:61:0f:01:01/",
    "/latest/meta-data":
      "ami-id\nhostname\ninstance-id\ninstance-life-cycle\ninstance-type\nlocal-hostname\nlocal-ipv4\nmac\nnetwork/\nplacement/\nsecurity-groups",
  };
  for (const [path, body] of Object.entries(listings)) {
    for (const spelling of [path, `${path}/`])
      expect(await get(spelling)).toMatchObject({ status: 200, body });
  }
});

test("slashes are squeezed, queries dropped, escapes undone, and a slash after a key changes nothing", async () => {
  await using imds = await start();
  const get = await reader(imds);
  for (const path of [
    "//latest///meta-data//instance-id",
    `${idPath}/`,
    `${idPath}?x=/../y`,
    "/latest/meta%2Ddata/instance-id",
  ]) {
    expect(await get(path)).toMatchObject({ status: 200, body: "i-0e306ccdf94a1b201" });
  }
  expect((await get(`${macsPath}/0e%3A49%3A61%3A0f%3A00%3A01/device-number`)).body).toBe("0");
  expect((await get("/latest/meta-data/%zz")).status).toBe(400);
  expect((await get("/latest/meta-data/../dynamic")).status).toBe(404);
  expect((await get("/latest/meta-data/constructor")).status).toBe(404);
});

test("every listed version answers; a key is absent from versions older than itself", async () => {
  await using imds = await start();
  const get = await reader(imds);
  for (const version of imdsVersions)
    expect((await get(`/${version}/meta-data/instance-id`)).status).toBe(200);
  expect((await get("/2021-07-16/meta-data/instance-id")).status).toBe(404);
  expect((await get("/2019-10-01/meta-data/placement/region")).status).toBe(404);
  expect((await get("/2019-10-01/meta-data/placement/")).body).toBe("availability-zone");
  expect((await get("/2020-08-24/meta-data/placement/region")).body).toBe("us-east-1");
});

test("the keys of the instance and of its interface", async () => {
  await using imds = await start();
  const get = await reader(imds);
  const mac = "0e:49:61:0f:00:01";
  const expected: Record<string, string> = {
    "ami-id": "ami-0c0ffee0c0ffee001",
    hostname: "ip-172-18-139-4.ec2.internal",
    "instance-life-cycle": "spot",
    "instance-type": "c5.xlarge",
    "local-ipv4": "172.18.139.4",
    mac,
    "placement/availability-zone": "us-east-1a",
    "security-groups": "connector",
    [`network/interfaces/macs/${mac}/interface-id`]: "eni-0a1b2c3d4e5f60001",
    [`network/interfaces/macs/${mac}/local-ipv4s`]: "172.18.139.4",
    [`network/interfaces/macs/${mac}/ipv6s`]: "2600:1f18:2a89:703::1",
    [`network/interfaces/macs/${mac}/owner-id`]: "123456789012",
    [`network/interfaces/macs/${mac}/security-group-ids`]: "sg-0c0ffee0c0ffee001",
    [`network/interfaces/macs/${mac}/subnet-ipv4-cidr-block`]: "172.18.128.0/20",
    [`network/interfaces/macs/${mac}/subnet-ipv6-cidr-blocks`]: "2600:1f18:2a89:703::/64",
    [`network/interfaces/macs/${mac}/vpc-id`]: "vpc-0c0ffee0c0ffee001",
    [`network/interfaces/macs/${mac}/vpc-ipv4-cidr-blocks`]: "172.18.0.0/16",
    [`network/interfaces/macs/${mac}/vpc-ipv6-cidr-blocks`]: "2600:1f18:2a89:700::/56",
  };
  for (const [key, body] of Object.entries(expected)) {
    expect(await get(`/latest/meta-data/${key}`)).toMatchObject({ status: 200, body });
  }
  expect((await get("/latest/user-data")).status).toBe(404);
  expect((await get(`${macsPath}/0e:00:00:00:00:99/device-number`)).status).toBe(404);
});

test("notices are 404 until AWS gives them, and again when it takes them back", async () => {
  const nowMs = Date.parse("2024-10-28T10:48:06.789Z");
  await using imds = await start({ now: () => nowMs });
  const get = await reader(imds);
  const paths = [
    "spot/instance-action",
    "events/recommendations/rebalance",
    "autoscaling/target-lifecycle-state",
  ];
  const read = () => Promise.all(paths.map(async (path) => (await get(`/latest/meta-data/${path}`)).body));
  for (const path of paths) expect((await get(`/latest/meta-data/${path}`)).status).toBe(404);
  imds.spotNotice("terminate");
  imds.rebalance(true);
  imds.asgState("Terminated");
  expect(await read()).toEqual([
    '{"action":"terminate","time":"2024-10-28T10:50:06Z"}',
    '{"noticeTime":"2024-10-28T10:48:06Z"}',
    "Terminated",
  ]);
  expect((await get("/latest/meta-data/")).body).toContain("spot/");
  imds.spotNotice(undefined);
  imds.rebalance(false);
  imds.asgState(undefined);
  for (const path of paths) expect((await get(`/latest/meta-data/${path}`)).status).toBe(404);
});

test("the requests seen are remembered, the newest 512 of them", async () => {
  await using imds = await start();
  await tokenOf(imds);
  await ask(imds, "GET", idPath);
  const [first, second] = [
    { method: "PUT", target: tokenPath, status: 200 },
    { method: "GET", target: idPath, status: 401 },
  ];
  expect(imds.requests).toEqual([first, second]);
  for (let i = 0; i < 511; i++) await ask(imds, "GET", "/");
  expect(imds.requests.length).toBe(512);
  expect(imds.requests[0]).toEqual(second);
});
