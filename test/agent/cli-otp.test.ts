import { execFile } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readOtpReference } from "../../agent/core/otp-reference.ts";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import { startSecretStores } from "../../lab/secrets/server.ts";
import { start as startImds } from "../lab/imds-fixture.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

const main = join(import.meta.dirname, "../../agent/cli/main.ts");
const otp = "hYx3bq0ZlQ7mT2vK9nRwUg";
const instance = instanceNumbered(1, {
  role: { name: "connector", accessKeyId: "ASIALABLABLABLABLAB1", secretAccessKey: "s", sessionToken: "t" },
});

async function account() {
  const imds = await startImds({ instance });
  const stores = await startSecretStores();
  const folder = temporaryFolder();
  const env = {
    HOME: folder.path,
    PATH: process.env.PATH ?? "",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.url,
    AWS_ENDPOINT_URL_SSM: stores.url,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: stores.url,
  };
  return {
    stores,
    file: join(folder.path, "credstore", "connector.otp"),
    run: (...args: string[]) =>
      new Promise<{ code: number; out: string; err: string }>((resolve) => {
        const words = [main, "otp", "fetch", ...args];
        const child = execFile(process.execPath, words, { env, timeout: 60_000 }, (_error, out, err) => {
          resolve({ code: child.exitCode ?? -1, out, err });
        });
      }),
    [Symbol.asyncDispose]: async () => {
      folder[Symbol.dispose]();
      await stores[Symbol.asyncDispose]();
      await imds[Symbol.asyncDispose]();
    },
  };
}

test("an OTP of one's own comes from Parameter Store into a file that only its owner reads", async () => {
  await using aws = await account();
  aws.stores.parameters.set(`/connector/prod/${instance.instanceId}`, otp);
  const { code, out, err } = await aws.run("ssm:/connector/prod/{instance-id}", "--out", aws.file);
  expect({ code, out, err }).toEqual({ code: 0, out: `The one-time password is in ${aws.file}.\n`, err: "" });
  expect(readFileSync(aws.file, "utf8")).toBe(`${otp}\n`);
  expect(statSync(aws.file).mode & 0o777).toBe(0o600);
});

test("from Secrets Manager, whole or one key of it", async () => {
  await using aws = await account();
  aws.stores.secrets.set("connector/prod", JSON.stringify({ otp }));
  aws.stores.secrets.set("plain", ` ${otp}\n`);
  expect((await aws.run("secretsmanager:connector/prod#otp")).out).toBe(`${otp}\n`);
  expect((await aws.run("secretsmanager:plain")).out).toBe(`${otp}\n`);
  const wrong = await aws.run("secretsmanager:connector/prod#pass", "--wait", "30");
  expect(wrong.err).toContain("has no such key");
  expect(wrong.code).toBe(2);
});

test("one that comes late is waited for, and why is told once", { timeout: 90_000 }, async () => {
  await using aws = await account();
  aws.stores.denied.add("ssm:GetParameter");
  aws.stores.parameters.set("/connector/prod", otp);
  const running = aws.run("ssm:/connector/prod", "--wait", "60");
  await until("two refusals", () => aws.stores.answered() >= 2, 30_000);
  aws.stores.denied.clear();
  const { code, out, err } = await running;
  expect({ code, out }).toEqual({ code: 0, out: `${otp}\n` });
  expect(err.match(/AWS does not allow this action/g)).toHaveLength(1);
});

test("none, and no place", async () => {
  await using aws = await account();
  const none = await aws.run("ssm:/connector/none");
  expect(none.err).toContain("There is no one-time password at this place (reference ssm:/connector/none)");
  expect(none.code).toBe(2);
  const nowhere = await aws.run("vault:secret/x", "--wait", "600");
  expect(nowhere.err).toContain("does not name a place");
  expect(nowhere.code).toBe(2);
});

test.for([
  ["ssm:/a/{instance-id}/b", { store: "ssm", name: "/a/i-1/b" }],
  ["ssm:arn:aws:ssm:us-east-1:1:parameter/x", { store: "ssm", name: "arn:aws:ssm:us-east-1:1:parameter/x" }],
  ["secretsmanager:x", { store: "secretsmanager", id: "x", key: undefined }],
  ["secretsmanager:x#k", { store: "secretsmanager", id: "x", key: "k" }],
  ["ssm:", undefined],
  ["ssm:a b", undefined],
  ["secretsmanager:x#", undefined],
  ["secretsmanager:x#a#b", undefined],
  ["file:/etc/passwd", undefined],
] as const)("%s", ([text, expected]) => {
  const read = readOtpReference(text, "i-1");
  expect(read.ok ? read.value : undefined).toEqual(expected);
});
