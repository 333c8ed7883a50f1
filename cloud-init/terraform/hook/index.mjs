// Hears from EventBridge of each launch and each end of an instance in the Auto Scaling group. At a launch it makes the
// OTP, waits until the instance has enrolled with it, gives it its pools and lets the group take it into service. When the
// group takes it away, it waits until nobody is left on it. At its end it has the controller forget the instance: a
// connector has 64, and those that are gone would count.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AutoScalingClient, CompleteLifecycleActionCommand } from "@aws-sdk/client-auto-scaling";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { DeleteParameterCommand, PutParameterCommand, SSMClient } from "@aws-sdk/client-ssm";
import { Controller } from "./controller.mjs";

const againAfterMs = 2_000;
/** For what is left to do when the wait is over. */
const reserveMs = 30_000;
/** An OTP lives a little longer than the instance waits for it (10 minutes). */
const otpLifeMinutes = 20;

/** Done twice for one event, it does nothing twice: EventBridge delivers at least once, Lambda tries again. */
export async function handler(event, context) {
  const { detail } = event;
  const id = detail.EC2InstanceId;
  if (!/^i-[0-9a-f]{8,17}$/.test(id))
    return say("ignored", { why: "no instance", kind: event["detail-type"] });
  switch (event["detail-type"]) {
    case "EC2 Instance-launch Lifecycle Action":
      return await launched(id, detail, context);
    case "EC2 Instance-terminate Lifecycle Action":
      return await leaving(id, detail, context);
    case "EC2 Instance Launch Unsuccessful":
    case "EC2 Instance Terminate Successful":
      return await gone(id);
    default:
      return say("ignored", { kind: event["detail-type"] });
  }
}

/** Until the function's time is up; then the group replaces the instance. */
async function launched(id, detail, context) {
  const launch = { id, otp: undefined, isHandedOut: false, isIn: false };
  const waitsFor = await waitUntil(id, context, (controller) => step(controller, launch));
  if (waitsFor === undefined) {
    await complete(detail, "CONTINUE");
    return say("in service", { instance: id });
  }
  say("given up", { instance: id, waitedFor: waitsFor });
  await tidy(launch);
  await complete(detail, "ABANDON");
}

/** The instance has seen that it is to go, and drains. Who is left when the hook's own time is up leaves with it. */
async function leaving(id, detail, context) {
  const waitsFor = await waitUntil(id, context, async (controller) =>
    whoIsOn(await controller.find(process.env.CONNECTOR, id)),
  );
  if (waitsFor !== undefined) return say("left alone", { instance: id, waitedFor: waitsFor });
  await complete(detail, "CONTINUE");
  say("nobody is left", { instance: id });
}

function whoIsOn(instance) {
  if (instance === undefined) return undefined;
  const { draining, judgement, sessions } = instance;
  if (draining !== null) return draining.left === 0 ? undefined : "who is left on it";
  return judgement.is === "gone" && sessions === 0 ? undefined : "its drain";
}

/**
 * Looks again and again until `look` answers that it waits for nothing (undefined), or the function's time is up; answers
 * what it waits for then. Whatever goes wrong is tried again.
 */
async function waitUntil(id, context, look) {
  let said;
  while (context.getRemainingTimeInMillis() > reserveMs) {
    let waitsFor;
    try {
      waitsFor = await look(await connect());
    } catch (error) {
      waitsFor = error.message;
    }
    if (waitsFor === undefined) return undefined;
    if (waitsFor !== said) say("waits", { instance: id, for: waitsFor });
    said = waitsFor;
    await sleep(againAfterMs);
  }
  return said ?? "time";
}

/** One look, and the next thing that is to be done. Answers what it waits for; undefined: nothing any more. */
async function step(controller, launch) {
  const { CONNECTOR, POOL } = process.env;
  const instance = await controller.find(CONNECTOR, launch.id);
  if (instance === undefined) {
    if (!launch.isHandedOut) await handOut(controller, launch);
    return "enrolment";
  }
  if (!launch.isIn) await forget(launch.id);
  launch.isIn = true;
  if (!POOL) return undefined;
  const { ipv4 = [], ipv6 = [] } = instance.prefixes ?? {};
  const isAll =
    ipv4.length >= Number(process.env.IPV4_PREFIX_COUNT) &&
    ipv6.length >= Number(process.env.IPV6_PREFIX_COUNT);
  if (!isAll) return "its prefixes";
  const pool = instance.pools.find((one) => one.pool === POOL);
  const isSet = pool !== undefined && isSame(pool.ipv4, ipv4) && isSame(pool.ipv6, ipv6);
  if (!isSet) await controller.setPools(instance.name, { [POOL]: { ipv4, ipv6 } });
  return instance.status === "Active" ? undefined : "Active";
}

async function handOut(controller, launch) {
  const { CONNECTOR, PARAMETER_KEY } = process.env;
  launch.otp ??= await controller.createOtp(CONNECTOR, otpLifeMinutes);
  await new SSMClient().send(
    new PutParameterCommand({
      Name: parameterOf(launch.id),
      Value: launch.otp.secret,
      Type: "SecureString",
      Overwrite: true,
      ...(PARAMETER_KEY ? { KeyId: PARAMETER_KEY } : {}),
    }),
  );
  launch.isHandedOut = true;
}

async function gone(id) {
  const controller = await connect();
  const instance = await controller.find(process.env.CONNECTOR, id);
  if (instance !== undefined) await controller.removeInstance(instance.name);
  await forget(id);
  say("removed", { instance: id, name: instance?.name });
}

/** An OTP that nobody will use. What fails here ends by itself with the OTP's life. */
async function tidy({ id, otp }) {
  try {
    await forget(id);
    if (otp !== undefined) await (await connect()).revokeOtp(otp.id);
  } catch (error) {
    say("not tidied", { instance: id, why: error.message });
  }
}

async function forget(id) {
  try {
    await new SSMClient().send(new DeleteParameterCommand({ Name: parameterOf(id) }));
  } catch (error) {
    if (error.name !== "ParameterNotFound") throw error;
  }
}

/** The token is read each time: it may be replaced while the function waits. */
async function connect() {
  const { ADMIN_TOKEN_SECRET, CONTROLLER_URL } = process.env;
  const secret = await new SecretsManagerClient().send(
    new GetSecretValueCommand({ SecretId: ADMIN_TOKEN_SECRET }),
  );
  const ca = readFileSync(new URL("ca.pem", import.meta.url), "utf8");
  return new Controller(CONTROLLER_URL, secret.SecretString.trim(), ca.trim() === "" ? undefined : ca);
}

async function complete(detail, LifecycleActionResult) {
  const { AutoScalingGroupName, LifecycleHookName, LifecycleActionToken } = detail;
  const asked = { AutoScalingGroupName, LifecycleHookName, LifecycleActionToken, LifecycleActionResult };
  try {
    await new AutoScalingClient().send(new CompleteLifecycleActionCommand(asked));
  } catch (error) {
    // The wait is over already: completed by an earlier try, or the instance was terminated meanwhile.
    if (error.name !== "ValidationError") throw error;
  }
}

function parameterOf(id) {
  return `${process.env.PARAMETER_PATH}/${id}`;
}

function isSame(some, others) {
  return some.length === others.length && some.every((text) => others.includes(text));
}

/** CloudWatch Logs takes a line of JSON apart. */
function say(msg, fields) {
  console.log(JSON.stringify({ msg, ...fields }));
}
