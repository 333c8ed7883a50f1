import { failed, type Result, success } from "../../protocol/failures.ts";

/** Where a one-time password lies outside the user-data: a parameter, or a secret or one key of it. */
export type OtpReference =
  | { readonly store: "ssm"; readonly name: string }
  | { readonly store: "secretsmanager"; readonly id: string; readonly key: string | undefined };

/**
 * Reads `ssm:NAME` or `secretsmanager:ID`, `secretsmanager:ID#KEY` for one key of a JSON secret. `{instance-id}` stands for the
 * EC2 instance's id, so that one user-data fits a whole Auto Scaling group. Fails with `otp-source.malformed`.
 */
export function readOtpReference(text: string, ec2InstanceId: string): Result<OtpReference> {
  const [, store, rest = ""] = /^(ssm|secretsmanager):(.*)$/s.exec(text) ?? [];
  const target = rest.replaceAll("{instance-id}", ec2InstanceId);
  if (store === "ssm" && parameterName.test(target)) return success({ store, name: target });
  const [id = "", key, ...more] = target.split("#");
  if (store === "secretsmanager" && secretId.test(id) && key !== "" && more.length === 0) {
    return success({ store, id, key });
  }
  return failed("otp-source.malformed", { reference: text.slice(0, 256) });
}

/** Names and ARNs: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html */
const parameterName = /^[\w.:/-]{1,2048}$/;
/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html */
const secretId = /^[\w/+=.@:-]{1,2048}$/;
