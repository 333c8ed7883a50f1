import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LabDevice } from "./device.ts";
import type { Lab } from "./lab.ts";
import { webName } from "./services.ts";

/** How to look further, as lines to copy. All but the first need what `writeEnvironment` wrote. */
export function hints(lab: Lab): string {
  const [first] = lab.instances;
  const [device] = lab.devices;
  if (first === undefined) return "";
  const host = `--parameters "$LAB/instance-1/enroll.yaml" --state-dir "$LAB/instance-1/state"`;
  const agent = first.process.name;
  const lines = [
    ["its prefixes", "npm run -s connector -- prefixes"],
    ["its host", `on ${agent} npm run -s connector -- check ${host}`],
    ["its metrics", `curl -s "$HEALTH/metrics"`],
    ["its metadata", "imds meta-data/"],
    ...(first.site.host === undefined
      ? []
      : [
          ["its firewall", `on ${agent} nft list table inet connector`],
          ["its tunnels", `on ${agent} wg show`],
        ]),
    ["The group", "npm run -s connector-controller -- instance list"],
    ...(device === undefined ? [] : deviceLines(device)),
    ["Play AWS", "npm run -s lab -- --help"],
    ["All logs", `tail -F "$LAB"/*/*.log "$LAB"/devices/*/*.log`],
  ];
  return [
    "How to look further, from another terminal in the same folder:",
    line("An instance", `npm run -s connector -- status --socket ${quoted(first.socket)}`),
    line("then", `. ${quoted(environmentFile(lab))}    # for the lines below`),
    ...lines.map(([name = "", text = ""]) => line(name, text)),
  ].join("\n");
}

function deviceLines({ plan, site }: LabDevice): [string, string][] {
  const { name } = plan;
  const status: [string, string] = [
    "A device",
    `npm run -s connector-device -- status --state-dir "$LAB/devices/${name}/state"`,
  ];
  if (site.host === undefined) return [status];
  return [
    status,
    ["its user", `on ${name} curl -s http://${webName}/`],
    ["its cable", `npm run -s lab -- unplug ${name}    # and plug`],
  ];
}

/** A file for the shell to read: the first instance, the controller, and its administrator, as environment variables. */
export async function writeEnvironment(lab: Lab): Promise<void> {
  const { controller, instances, folder, place } = lab;
  const [first] = instances;
  if (first === undefined) return;
  const variables = {
    LAB: folder,
    CONNECTOR_SOCKET: first.socket,
    ...first.site.process.env,
    HEALTH: await first.site.healthUrl(),
    CONNECTOR_URL: controller.url,
    CONNECTOR_CA_FILE: controller.caFile,
    CONNECTOR_ADMIN_TOKEN_FILE: controller.tokenFile,
    IMDS: `${first.site.metadataUrl}/latest`,
  };
  const ask = `on ${first.process.name} curl -s`;
  const token = `$(${ask} -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$IMDS/api/token")`;
  const lines = [
    ...Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}`),
    place.shell,
    `imds() { ${ask} -H "X-aws-ec2-metadata-token: ${token}" "$IMDS/$1"; echo; }`,
  ];
  writeFileSync(environmentFile(lab), `${lines.join("\n")}\n`, { mode: 0o600 });
}

function environmentFile({ folder }: Lab): string {
  return join(folder, "env");
}

function line(name: string, text: string): string {
  return `  ${name.padEnd(13)} ${text}`;
}

/** One word of a POSIX shell. */
function quoted(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
