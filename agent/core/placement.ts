import { addressAt, containsAddress, parsePrefix } from "../../protocol/address.ts";
import { Failure } from "../../protocol/failures.ts";
import type { Parameters } from "./parameters.ts";
import type { InterfaceFacts } from "./ports.ts";

/**
 * Whether the parameters are those of this instance. `local` are the addresses on the host's interfaces, or undefined
 * where they are not compared. Each failure names the wrong value and the right one.
 */
export function compareWithInstance(
  parameters: Pick<Parameters, "ip" | "gateway">,
  facts: InterfaceFacts,
  local: readonly string[] | undefined,
): Failure[] {
  const failures: Failure[] = [];
  const { ip, gateway } = parameters;
  if (ip !== facts.primaryIpv4) {
    const where = { interface: facts.interfaceId, subnet: facts.subnetIpv4 ?? "unknown" };
    failures.push(
      new Failure("parameters.ip-mismatch", { configured: ip, right: facts.primaryIpv4, ...where }),
    );
  } else if (local !== undefined && !local.includes(ip)) {
    const present = local.join(" ") || "none";
    failures.push(
      new Failure("parameters.ip-mismatch", { configured: ip, "on the host's interfaces": present }),
    );
  }
  const router = facts.subnetIpv4 === undefined ? undefined : routerOf(facts.subnetIpv4);
  if (router !== undefined && gateway !== router) {
    const subnet = facts.subnetIpv4 ?? "";
    const inSubnet = parsePrefix(subnet);
    const outside = inSubnet.ok && !containsAddress(inSubnet.value, gateway);
    failures.push(
      new Failure("parameters.gateway-mismatch", {
        configured: gateway,
        right: router,
        subnet,
        ...(outside ? { "outside the subnet": true } : {}),
      }),
    );
  }
  return failures;
}

/** AWS reserves the network address plus one: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html */
function routerOf(subnet: string): string | undefined {
  const prefix = parsePrefix(subnet);
  return prefix.ok && prefix.value.family === 4 ? addressAt(prefix.value)(1) : undefined;
}
