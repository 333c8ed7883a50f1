import type { Lab } from "./lab.ts";

/** How to look further, as lines to copy. */
export function hints(lab: Lab): string {
  const { controller, instances, folder } = lab;
  const first = instances[0];
  const device = lab.devices[0];
  if (first === undefined || device === undefined) return "";
  const imds = first.imds.url;
  const token = `$(curl -sX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' ${imds}/latest/api/token)`;
  const admin = `--controller ${controller.url} --ca-file ${controller.caFile} --token-file ${controller.tokenFile}`;
  const prefix = first.plan.pools.Pool1?.ipv4[0] ?? "";
  const lines = [
    ["An instance", `npm run -s connector -- status --socket ${first.socket}`],
    ["its prefixes", `npm run -s connector -- prefixes --socket ${first.socket}`],
    ["its metrics", `curl -s ${first.healthUrl}/metrics`],
    ["its metadata", `curl -s -H "X-aws-ec2-metadata-token: ${token}" ${imds}/latest/meta-data/`],
    ["The group", `npm run -s connector-controller -- instance list ${admin}`],
    ["A device", `npm run -s connector-device -- status --state-dir ${device.stateFolder}`],
    ["Play AWS", `npm run -s lab -- unassign 1 ${prefix}`],
    ["more of that", "npm run -s lab -- --help"],
    ["All logs", `tail -F ${folder}/*/*.log ${folder}/devices/*/*.log`],
  ];
  return lines.map(([name, line]) => `  ${name?.padEnd(13)} ${line}`).join("\n");
}
