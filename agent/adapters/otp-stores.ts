import { Failure, type FailureCode, failed, type Result, success } from "../../protocol/failures.ts";
import { Secret } from "../../protocol/secret.ts";
import type { OtpReference } from "../core/otp-reference.ts";

/**
 * Reads a one-time password with the instance's role. Undefined: there is none at this place yet. Fails with a code of
 * `aws.credentials` and its neighbours. Each store's client is loaded when it is asked.
 */
export async function readStoredOtp(
  reference: OtpReference,
  region: string,
): Promise<Result<Secret | undefined>> {
  try {
    const text = await ask(reference, region);
    if (text === undefined) return success(undefined);
    const otp =
      reference.store === "secretsmanager" && reference.key !== undefined ? keyOf(text, reference.key) : text;
    if (otp === undefined)
      return failed("otp-source.malformed", { secret: reference.store, problem: "has no such key" });
    return success(new Secret(otp.trim()));
  } catch (error) {
    return failureOf(error, reference);
  }
}

const requestHandler = {
  connectionTimeout: 3_000,
  requestTimeout: 10_000,
  throwOnRequestTimeout: true,
} as const;

async function ask(reference: OtpReference, region: string): Promise<string | undefined> {
  switch (reference.store) {
    case "ssm": {
      const { GetParameterCommand, SSMClient } = await import("@aws-sdk/client-ssm");
      const client = new SSMClient({ region, requestHandler });
      const answer = await client.send(
        new GetParameterCommand({ Name: reference.name, WithDecryption: true }),
      );
      return answer.Parameter?.Value;
    }
    case "secretsmanager": {
      const { GetSecretValueCommand, SecretsManagerClient } = await import("@aws-sdk/client-secrets-manager");
      const client = new SecretsManagerClient({ region, requestHandler });
      const answer = await client.send(new GetSecretValueCommand({ SecretId: reference.id }));
      return answer.SecretString;
    }
  }
}

function keyOf(text: string, key: string): string | undefined {
  try {
    const value: unknown = (JSON.parse(text) as Readonly<Record<string, unknown>> | null)?.[key];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

const absent: readonly string[] = ["ParameterNotFound", "ResourceNotFoundException"];

const codes: Readonly<Record<string, FailureCode>> = {
  CredentialsProviderError: "aws.credentials",
  UnrecognizedClientException: "aws.credentials",
  ExpiredTokenException: "aws.credentials",
  InvalidSignatureException: "aws.credentials",
  AccessDeniedException: "aws.unauthorised",
  ThrottlingException: "aws.throttled",
};

function failureOf(error: unknown, { store }: OtpReference): Result<undefined> {
  const {
    name = "",
    message = "",
    $metadata,
  } = error as Partial<Error> & {
    $metadata?: { httpStatusCode?: number };
  };
  if (absent.includes(name)) return success(undefined);
  const says = message.replace(/\s+/g, " ").slice(0, 200);
  const code = codes[name] ?? ($metadata?.httpStatusCode === undefined ? "aws.unreachable" : "aws.refused");
  return { ok: false, failure: new Failure(code, { service: store, error: name, says }, error) };
}
