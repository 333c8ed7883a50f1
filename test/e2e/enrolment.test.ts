import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createRegionSigner } from "../../lab/certificates.ts";
import type { LabInstance } from "../../lab/instance.ts";
import { Lab, region } from "../../lab/lab.ts";
import { planInstances } from "../../lab/plan.ts";
import { temporaryFolder } from "../support/folder.ts";
import { HostClock, noHostClock } from "../support/host-clock.ts";
import { until } from "../support/until.ts";
import { connector, logsIn, look, untilCondition } from "./look.ts";

/** Real controller, real agents: what `connector status` shows of every refusal. */
vi.setConfig({ testTimeout: 60_000 });
const folder = temporaryFolder();
let lab: Lab;
let good: LabInstance;
const plans = planInstances(64);

beforeAll(async () => {
  lab = await Lab.start({ folder: folder.path });
  good = await lab.launch(plans[0]);
  await lab.configurePools(good);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

test("wrong OTP", async () => {
  const instance = await lab.launch(plans[1], { otp: "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF" });
  await untilCondition(instance, "otp.unknown");
  const { output, code } = await connector("status", "--socket", instance.socket);
  expect(code).toBe(1);
  expect(output).toContain("otp.unknown");
});

test("used OTP", async () => {
  const [used] = lab.secrets;
  const instance = await lab.launch(plans[2], { otp: used ?? "" });
  await untilCondition(instance, "otp.used");
});

test("one OTP for two instances at once: one is in, the other is told that it is used", async () => {
  const otp = await lab.createOtp();
  const both = await Promise.all([plans[10], plans[11]].map((plan) => lab.launch(plan, { otp })));
  const views = async () => await Promise.all(both.map((instance) => lab.viewOf(instance)));
  await until("one is in", async () => (await views()).some((view) => view !== undefined), 30_000);
  const isIn = await views();
  expect(isIn.filter((view) => view !== undefined)).toHaveLength(1);
  const other = both[isIn.indexOf(undefined)];
  if (other === undefined) throw new RangeError("both are in");
  await untilCondition(other, "otp.used");
  for (const { process } of both) await process.stop();
});

test("revoked OTP", async () => {
  const revoked = await lab.createOtp();
  const { items } = await lab.controller.admin.call("otp.list", { query: {} });
  const open = items.find(({ state }) => state === "open");
  await lab.controller.admin.call("otp.revoke", { params: { otp: open?.id ?? "" } });
  await untilCondition(await lab.launch(plans[3], { otp: revoked }), "otp.revoked");
});

test("expired OTP", async () => {
  const expired = await lab.createOtp();
  // A day has passed, as far as the controller's database knows.
  await lab.controller.process.stop();
  const database = new DatabaseSync(join(lab.controller.stateFolder, "controller.db"));
  database.exec("UPDATE otp SET expires_at_ms = created_at_ms + 1");
  database.close();
  lab.controller.process.start();
  await untilCondition(await lab.launch(plans[4], { otp: expired }), "otp.expired");
});

test("another VPC", async () => {
  const ec2 = { vpcId: "vpc-0d0d0d0d0d0d0d0d0" };
  const instance = await lab.launch(plans[5], { ec2 });
  await untilCondition(instance, "enrol.other-vpc");
});

test("a document signed with a key that is not AWS's", async () => {
  const signer = await createRegionSigner(region);
  const instance = await lab.launch(plans[6], { signer });
  await untilCondition(instance, "enrol.document-forged");
});

test("an OTP of another connector, on an instance that is in this one", async () => {
  const { admin } = lab.controller;
  const dns = { primary: "172.18.0.2" };
  const body = { name: "other", hosting: "aws", mode: "active-active", region, dns } as const;
  await admin.call("connector.create", { body });
  const otp = await lab.createOtp("other");
  // Its own keys, as they were before it knew that it is in.
  const { enrolment: _, ...identity } = JSON.parse(readFileSync(identityOf(good.stateFolder), "utf8"));
  const stateFolder = join(folder.path, "instance-8", "state");
  mkdirSync(stateFolder, { recursive: true });
  writeFileSync(identityOf(stateFolder), JSON.stringify(identity), { mode: 0o600 });
  const instance = await lab.launch(plans[7], { otp, ec2: good.ec2 });
  await untilCondition(instance, "enrol.other-connector");
});

const identityOf = (stateFolder: string) => join(stateFolder, "identity.json");

test("an OTP that would do, on an instance that is in already: its document, under a key that is not its own", async () => {
  const instance = await lab.launch(plans[8], { ec2: { instanceId: good.ec2.instanceId } });
  await untilCondition(instance, "enrol.document-replayed");
});

test("a clock that is off by an hour", async ({ skip }) => {
  if (noHostClock !== undefined) skip(noHostClock);
  const { env } = new HostClock(folder.path, "+3600");
  const instance = await lab.launch(plans[9], { env });
  await untilCondition(instance, "enrol.clock-skew");
  const { output, code } = await connector("status", "--socket", instance.socket);
  expect(code).toBe(1);
  expect(output).toMatch(/seconds 3[56]\d\d/);
  expect(output).toContain("Amazon Time Sync Service");
  await instance.process.stop();
});

test("a clock at 1970: by it the controller's certificate is not valid yet; set, the instance is in", async ({
  skip,
}) => {
  if (noHostClock !== undefined) skip(noHostClock);
  const clock = new HostClock(folder.path, "@1970-01-01 00:01:00");
  const instance = await lab.launch(plans[12], { env: clock.env });
  await untilCondition(instance, "link.certificate-early");
  const { output } = await connector("status", "--socket", instance.socket);
  expect(output).toContain("The clock is behind");
  clock.set("+0");
  await until("it is in", async () => (await look(instance, "status"))?.status === "Online", 40_000);
  await untilCondition(instance, "clock.stepped");
  await instance.process.stop();
});

test("the instance that did nothing wrong is not disturbed, and no log holds a secret", async () => {
  // Where a reading came too late, the next one follows.
  await until("nothing to tell", async () => (await look(good, "status"))?.conditions.length === 0);
  expect(await look(good, "status")).toMatchObject({ status: "Active" });
  for (const [path, text] of logsIn(folder.path)) {
    for (const secret of lab.secrets) expect(text.includes(secret), path).toBe(false);
  }
});
