import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Failure, failed, type Result, success } from "../../../protocol/failures.ts";
import { systemClock } from "../../../protocol/node/clock.ts";
import { makeFolder, storageFailure, writeFileDurably } from "../../../protocol/node/files.ts";
import { exitCodes } from "../../../protocol/node/text.ts";
import type { World } from "../../../protocol/node/world.ts";
import type { Secret } from "../../../protocol/secret.ts";
import { Imds } from "../../adapters/imds.ts";
import { readStoredOtp } from "../../adapters/otp-stores.ts";
import { readOtpReference } from "../../core/otp-reference.ts";
import type { Report } from "../page.ts";

export interface FetchOptions {
  readonly reference: string;
  /** A file only its owner reads, replaced whole; undefined: standard output. */
  readonly out: string | undefined;
  readonly waitSeconds: number;
}

const againAfterMs = 5_000;

/**
 * Brings the OTP from where it is kept. At boot the network, the role and the OTP itself may all come late, so within the
 * time to wait nothing but a wrong reference ends it; `say` hears each new reason.
 */
export async function fetchOtp(
  { reference, out, waitSeconds }: FetchOptions,
  world: Pick<World, "env" | "stop">,
  say: (reason: Failure) => void,
): Promise<Result<Report>> {
  const untilMs = performance.now() + waitSeconds * 1000;
  const imds = new Imds({ env: world.env, clock: systemClock });
  let said: string | undefined;
  for (;;) {
    const found = await lookOnce(reference, imds);
    if (found.ok) return deliver(found.value, out);
    const isUp = performance.now() + againAfterMs > untilMs;
    if (isUp || world.stop.aborted || found.failure.code === "otp-source.malformed") return found;
    if (found.failure.code !== said) say(found.failure);
    said = found.failure.code;
    await sleep(againAfterMs, undefined, { signal: world.stop }).catch(() => undefined);
  }
}

async function lookOnce(text: string, imds: Imds): Promise<Result<Secret>> {
  const [id, region] = await Promise.all([
    imds.get("meta-data/instance-id"),
    imds.get("meta-data/placement/region"),
  ]);
  if (!id.ok) return id;
  if (!region.ok) return region;
  if (id.value === undefined || region.value === undefined) {
    return failed("imds.failing", { path: "latest/meta-data/instance-id", status: 404 });
  }
  const reference = readOtpReference(text, id.value.trim());
  if (!reference.ok) return reference;
  const otp = await readStoredOtp(reference.value, region.value.trim());
  if (!otp.ok) return otp;
  return otp.value === undefined ? failed("otp-source.empty", { reference: text }) : success(otp.value);
}

function deliver(otp: Secret, out: string | undefined): Result<Report> {
  if (out === undefined) {
    return success({
      json: { otp: otp.reveal() },
      exitCode: exitCodes.fine,
      text: () => `${otp.reveal()}\n`,
    });
  }
  try {
    makeFolder(dirname(out), 0o700);
    writeFileDurably(out, `${otp.reveal()}\n`);
  } catch (error) {
    return { ok: false, failure: storageFailure(error, out) };
  }
  return success({
    json: { file: out },
    exitCode: exitCodes.fine,
    text: () => `The one-time password is in ${out}.\n`,
  });
}
