import { Failure, type FailureCode } from "../../../protocol/failures.ts";
import type { Parameters } from "../../core/parameters.ts";
import { compareWithInstance } from "../../core/placement.ts";
import type { PrefixReading } from "../../core/ports.ts";
import { type Line, lineOf, ok, skip, warn } from "./line.ts";

/** What the metadata service says, and whether the parameters agree with it and with the host's own addresses. */
export function judgeMetadata(
  reading: PrefixReading,
  parameters: Parameters | undefined,
  local: readonly string[] | undefined,
): Line[] {
  if (reading.is === "unknown") {
    const line = lineOf("metadata", new Failure(reading.why, reading.facts));
    const needs = "needs the metadata service";
    return [
      { ...line, result: "FAIL" },
      skip("address", needs),
      skip("gateway", needs),
      skip("prefixes", needs),
    ];
  }
  const facts = reading.interface;
  const count = reading.ipv4.length + reading.ipv6.length;
  return [
    ok("metadata", `IMDSv2 answers, interface ${facts.interfaceId}`),
    ...judgeAddresses(parameters, reading, local),
    count === 0
      ? {
          ...lineOf("prefixes", new Failure("pool.none")),
          text: "AWS assigned no prefix to the interface",
          action:
            "Assign a /28 (and a /80) to the network interface in EC2, and the same to a pool of this instance.",
        }
      : ok("prefixes", `${[...reading.ipv4, ...reading.ipv6].join(", ")}`),
  ];
}

/**
 * What devices dial, beside the public address that EC2 says the instance has; undefined where it has none. One that is not an
 * Elastic IP is another one after a stop and a start.
 */
export function judgeEndpoint(
  parameters: Pick<Parameters, "ip" | "publicAddress" | "wireguardPort"> | undefined,
  publicIpv4: string | undefined,
): Line {
  if (parameters === undefined) return skip("endpoint", "needs valid parameters");
  const { ip, publicAddress, wireguardPort } = parameters;
  const dialled = `devices dial ${publicAddress}, UDP ${wireguardPort}`;
  if (publicIpv4 === undefined || publicIpv4 === publicAddress || publicAddress.includes(":")) {
    return ok("endpoint", dialled);
  }
  if (publicAddress === ip)
    return ok("endpoint", `${dialled}; from the internet this would be ${publicIpv4}`);
  return warn(
    "endpoint",
    `${dialled}, and the instance's public address is ${publicIpv4}`,
    "Right where it is a load balancer's. Otherwise correct `publicAddress` in /etc/connector/enroll.yaml, then `systemctl restart connector`.",
  );
}

function judgeAddresses(
  parameters: Parameters | undefined,
  reading: Extract<PrefixReading, { is: "known" }>,
  local: readonly string[] | undefined,
): Line[] {
  if (parameters === undefined) {
    return [skip("address", "needs valid parameters"), skip("gateway", "needs valid parameters")];
  }
  const facts = reading.interface;
  const failures = compareWithInstance(parameters, facts, local);
  const about = (code: FailureCode) => failures.find((failure) => failure.code === code);
  const address = about("parameters.ip-mismatch");
  const gateway = about("parameters.gateway-mismatch");
  const compared = local === undefined ? "(interfaces not compared)" : "and the host's";
  return [
    address === undefined
      ? ok("address", `${parameters.ip} is the interface's ${compared}`)
      : lineOf("address", address),
    gateway === undefined
      ? ok("gateway", `${parameters.gateway} is the router of ${facts.subnetIpv4 ?? "the subnet"}`)
      : lineOf("gateway", gateway),
  ];
}
