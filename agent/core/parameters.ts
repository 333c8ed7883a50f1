import { nearest } from "../../protocol/nearest.ts";
import {
  absolutePath,
  anyAddress,
  type Checked,
  controllerUrl,
  cronExpression,
  ipv4,
  logLevel,
  loopbackListener,
  onRebalance,
  port,
  shown,
  typeName,
} from "./parameter-checks.ts";

/** What an instance is told at its birth: `enroll.yaml` with the environment's overrides, checked. */
export interface Parameters {
  /** `https://host[:port]`; `http://` only for loopback. */
  readonly controller: string;
  /** The primary private IPv4 address of the instance's interface. */
  readonly ip: string;
  /** The subnet's router. */
  readonly gateway: string;
  readonly otpFile: string;
  /** PEM of the only CAs to trust; the system's when absent. */
  readonly caFile: string | undefined;
  /** Where metrics and health are served: `address:port` on loopback, or `off`. */
  readonly health: string;
  readonly logLevel: "debug" | "info" | "warn" | "error";
  readonly wireguardPort: number;
  /** What devices dial. */
  readonly publicAddress: string;
  /** How often the prefixes are read when nothing calls for it: a cron expression of five or six fields. */
  readonly prefixSchedule: string;
  /** What a rebalance recommendation of AWS leads to. */
  readonly rebalance: "show" | "drain";
}

/** One thing that is wrong, where, and what to write instead. */
export interface ParameterProblem {
  readonly field: string;
  /** What stands there, as text; empty when nothing does. Never the content of a secret: no field holds one. */
  readonly value: string;
  readonly problem: string;
  readonly fix: string;
}

export type ParametersResult =
  | { readonly ok: true; readonly value: Parameters }
  | { readonly ok: false; readonly problems: readonly ParameterProblem[] };

export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the parsed YAML, each field overridden by its environment variable. Names every problem, not the first. */
export function readParameters(yamlValue: unknown, env: Environment): ParametersResult {
  const problems: ParameterProblem[] = [];
  const file = asMapping(yamlValue, problems);
  for (const key of Object.keys(file)) {
    if (!Object.hasOwn(fields, key)) problems.push(unknownKey(key, file[key]));
  }
  const read = <Name extends keyof Fields>(name: Name): Fields[Name] | undefined => {
    const field = fields[name];
    const given = env[field.variable] || file[name];
    const raw = given ?? field.fallback?.(env);
    if (raw === undefined || raw === null) {
      if (field.required) problems.push({ field: name, value: "", problem: "is missing", fix: field.fix });
      return undefined;
    }
    const checked = field.check(raw);
    if (checked.ok) return checked.value as Fields[Name];
    problems.push({
      field: name,
      value: shown(raw),
      problem: checked.problem,
      fix: checked.fix ?? field.fix,
    });
    return undefined;
  };
  const controller = read("controller");
  const ip = read("ip");
  const gateway = read("gateway");
  if (ip !== undefined && ip === gateway) {
    const problem = "is the same address as `ip`";
    problems.push({ field: "gateway", value: gateway, problem, fix: fields.gateway.fix });
  }
  const rest = {
    otpFile: read("otpFile"),
    caFile: read("caFile"),
    health: read("health"),
    logLevel: read("logLevel"),
    wireguardPort: read("wireguardPort"),
    publicAddress: read("publicAddress") ?? ip,
    prefixSchedule: read("prefixSchedule"),
    rebalance: read("rebalance"),
  };
  const value = { controller, ip, gateway, ...rest };
  return problems.length === 0 && isComplete(value) ? { ok: true, value } : { ok: false, problems };
}

type Fields = Omit<Parameters, "caFile"> & { readonly caFile: string };
interface Field<T> {
  readonly variable: string;
  readonly required: boolean;
  readonly fallback?: (env: Environment) => T;
  readonly fix: string;
  check(raw: unknown): Checked<T>;
}

const fields: { readonly [Name in keyof Fields]: Field<Fields[Name]> } = {
  controller: {
    variable: "CONNECTOR_CONTROLLER",
    required: true,
    fix: "write the controller's URL, like https://controller.example.com",
    check: controllerUrl,
  },
  ip: {
    variable: "CONNECTOR_IP",
    required: true,
    fix: "write the primary private IPv4 address of this instance, like 10.0.1.17",
    check: ipv4,
  },
  gateway: {
    variable: "CONNECTOR_GATEWAY",
    required: true,
    fix: "write the subnet's router: on AWS the first address of the subnet, like 10.0.1.1",
    check: ipv4,
  },
  otpFile: {
    variable: "CONNECTOR_OTP_FILE",
    required: false,
    fallback: (env) => `${env.CREDENTIALS_DIRECTORY ?? "/run/credstore"}/connector.otp`,
    fix: "write the absolute path of the file that holds the OTP, like /run/credstore/connector.otp",
    check: absolutePath,
  },
  caFile: {
    variable: "CONNECTOR_CA_FILE",
    required: false,
    fix: "write the absolute path of a PEM file, like /etc/connector/ca.pem",
    check: absolutePath,
  },
  health: {
    variable: "CONNECTOR_HEALTH",
    required: false,
    fallback: () => "127.0.0.1:9464",
    fix: "write a loopback address with a port, like 127.0.0.1:9464, or off",
    check: loopbackListener,
  },
  logLevel: {
    variable: "CONNECTOR_LOG_LEVEL",
    required: false,
    fallback: () => "info",
    fix: "write debug, info, warn or error",
    check: logLevel,
  },
  wireguardPort: {
    variable: "CONNECTOR_WIREGUARD_PORT",
    required: false,
    fallback: () => 51_820,
    fix: "write a UDP port from 1 to 65535, like 51820",
    check: port,
  },
  publicAddress: {
    variable: "CONNECTOR_PUBLIC_ADDRESS",
    required: false,
    fix: "write the IP address that devices dial, like 203.0.113.7",
    check: anyAddress,
  },
  prefixSchedule: {
    variable: "CONNECTOR_PREFIX_SCHEDULE",
    required: false,
    fallback: () => "* * * * *",
    fix: 'write a cron expression, like "*/5 * * * *"',
    check: cronExpression,
  },
  rebalance: {
    variable: "CONNECTOR_REBALANCE",
    required: false,
    // AWS recommends it to many instances at once, and most of them go on for long.
    fallback: () => "show",
    fix: "write show, or drain",
    check: onRebalance,
  },
};

function isComplete(
  value: {
    [Name in keyof Parameters]: Parameters[Name] | undefined;
  },
): value is Parameters {
  return Object.entries(value).every(([name, field]) => name === "caFile" || field !== undefined);
}

function asMapping(yamlValue: unknown, problems: ParameterProblem[]): Readonly<Record<string, unknown>> {
  if (yamlValue === null || yamlValue === undefined) return {};
  if (typeof yamlValue === "object" && !Array.isArray(yamlValue)) return yamlValue as Record<string, unknown>;
  problems.push({
    field: "enroll.yaml",
    value: shown(yamlValue),
    problem: `is ${typeName(yamlValue)} where fields are expected`,
    fix: "write one `field: value` per line",
  });
  return {};
}

function unknownKey(key: string, value: unknown): ParameterProblem {
  const guess = nearest(key, Object.keys(fields));
  const known = `known fields: ${Object.keys(fields).join(", ")}`;
  const isSecret = /otp|password|secret|token/i.test(key);
  if (/^otp$/i.test(key)) {
    const fix = "write the OTP into a file of its own (0600), and that file's path as `otpFile`";
    return { field: key, value: "[secret]", problem: "does not belong into enroll.yaml", fix };
  }
  return {
    field: key.slice(0, 64),
    // A password in the wrong place must not reach the log.
    value: isSecret ? "[secret]" : shown(value),
    problem: "is not a field of enroll.yaml",
    fix: guess === undefined ? known : `did you mean \`${guess}\`?`,
  };
}
