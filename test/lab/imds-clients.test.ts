// The clients that meet the real service, against the emulated one.
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import { MetadataService } from "@aws-sdk/ec2-metadata-service";
import { expect, test } from "vitest";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import type { Imds } from "../../lab/imds/server.ts";
import { macsPath, start, tokenOf } from "./imds-fixture.ts";

const run = promisify(execFile);
const userData = "#cloud-config\nhostname: connector\n";
const mac = "0e:49:61:0f:00:01";

const missing = {
  curl: spawnSync("curl", ["--version"]).status === 0 ? undefined : "curl is not installed",
  cloudInit:
    spawnSync("/usr/bin/python3", ["-c", "import cloudinit.sources.DataSourceEc2"]).status === 0
      ? undefined
      : "cloud-init is not installed",
};

test("curl, as AWS's documentation has it", async ({ skip }) => {
  skip(missing.curl !== undefined, missing.curl);
  await using imds = await start();
  imds.assignPrefix("172.18.140.16/28");
  const curl = async (...args: string[]) =>
    (await run("curl", ["-sS", "-m", "5", "--noproxy", "*", ...args])).stdout;
  const token = await curl(
    "-X",
    "PUT",
    `${imds.url}/latest/api/token`,
    "-H",
    "X-aws-ec2-metadata-token-ttl-seconds: 21600",
  );
  const header = `X-aws-ec2-metadata-token: ${token}`;
  expect(await curl("-H", header, `${imds.url}/latest/meta-data/network/interfaces/macs`)).toBe(`${mac}/`);
  expect(await curl("-H", header, `${imds.url}${macsPath}/${mac}/ipv4-prefix`)).toBe("172.18.140.16/28");
  const seen = await curl("-i", `${imds.url}/latest/meta-data/`);
  expect(seen).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
  expect(seen).toMatch(/\r\nServer: EC2ws\r\n/);
  expect(seen).toMatch(/\r\nConnection: close\r\n/);
});

/** Set up as the agent sets it up: it fetches the token itself, and never waits for ever. */
function sdk(url: string, timeoutMs = 10_000): MetadataService {
  return new MetadataService({
    endpoint: url,
    disableFetchToken: true,
    retries: 0,
    httpOptions: { timeout: timeoutMs },
  });
}

test("the AWS SDK reads keys, and its errors carry the status", async () => {
  await using imds = await start();
  const service = sdk(imds.url);
  const headers = { "x-aws-ec2-metadata-token": await tokenOf(imds) };
  expect(await service.request("latest/meta-data/instance-id", { headers })).toBe("i-0e306ccdf94a1b201");
  expect(await service.request("//latest/meta-data/placement/region", { headers })).toBe("us-east-1");
  const status = (path: string, options: object) =>
    service.request(path, options).then(
      () => 200,
      (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode,
    );
  expect(await status(`${macsPath.slice(1)}/${mac}/ipv4-prefix`, { headers })).toBe(404);
  expect(await status("latest/meta-data/instance-id", {})).toBe(401);
  imds.fault({ kind: "status", status: 503 });
  expect(await status("latest/meta-data/instance-id", { headers })).toBe(503);
});

test("the AWS SDK gives up on a black hole after its time-out", async () => {
  await using imds = await start();
  const headers = { "x-aws-ec2-metadata-token": await tokenOf(imds) };
  imds.fault({ kind: "blackHole" });
  await expect(sdk(imds.url, 100).request("latest/meta-data/instance-id", { headers })).rejects.toThrow(
    /metadata service/,
  );
});

test("the AWS SDK with its own token handling", async () => {
  await using imds = await start();
  const service = new MetadataService({
    endpoint: imds.url,
    retries: 0,
    ec2MetadataV1Disabled: true,
    httpOptions: { timeout: 10_000 },
  });
  expect(await service.request("/latest/meta-data/mac", {})).toBe(mac);
});

test("cloud-init crawls the whole of it and takes the user data", { timeout: 60_000 }, async ({ skip }) => {
  skip(missing.cloudInit !== undefined, missing.cloudInit);
  await using imds = await start({ instance: instanceNumbered(1, { userData }) });
  imds.assignPrefix("172.18.140.16/28");
  imds.assignPrefix("172.18.140.32/28");
  imds.assignPrefix("2600:1f18:2a89:703:275::/80");
  imds.spotNotice("terminate");
  expect(await crawled(imds)).toMatchObject({
    "user-data": userData,
    dynamic: {
      "instance-identity": { document: { instanceId: "i-0e306ccdf94a1b201", version: "2017-09-30" } },
    },
    "meta-data": {
      "instance-id": "i-0e306ccdf94a1b201",
      placement: { region: "us-east-1" },
      spot: { "instance-action": { action: "terminate" } },
      network: {
        interfaces: {
          macs: {
            [mac]: {
              "ipv4-prefix": ["172.18.140.16/28", "172.18.140.32/28"],
              "ipv6-prefix": "2600:1f18:2a89:703:275::/80",
            },
          },
        },
      },
    },
    // The newest version that this cloud-init asks for.
    _metadata_api_version: "2021-03-23",
  });
  expect(imds.requests.filter((seen) => seen.status !== 200)).toEqual([]);
});

test("cloud-init finds no user data where there is none", { timeout: 60_000 }, async ({ skip }) => {
  skip(missing.cloudInit !== undefined, missing.cloudInit);
  await using imds = await start();
  expect(await crawled(imds)).toMatchObject({
    "user-data": "",
    "meta-data": { "local-ipv4": "172.18.139.4" },
  });
});

async function crawled(imds: Imds): Promise<unknown> {
  const env = { ...process.env, no_proxy: "*" };
  return JSON.parse((await run("/usr/bin/python3", ["-c", crawl, imds.url], { env })).stdout);
}

/** DataSourceEc2's own crawl, told that this is AWS and where the service is. */
const crawl = `
import json, sys, tempfile
from cloudinit import helpers
from cloudinit.sources import DataSourceEc2 as ec2
folder = tempfile.TemporaryDirectory()
paths = helpers.Paths({"cloud_dir": folder.name, "run_dir": folder.name})
source = ec2.DataSourceEc2({"datasource": {"Ec2": {"metadata_urls": [sys.argv[1]], "max_wait": 5, "timeout": 5}}}, None, paths)
source._cloud_name = ec2.CloudNames.AWS
crawled = source.crawl_metadata()
crawled["user-data"] = crawled["user-data"].decode() if crawled["user-data"] else ""
print(json.dumps(crawled))
`;
