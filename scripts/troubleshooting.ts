/** Writes docs/troubleshooting.md from the failure catalogue: `npm run docs`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FailureCode, failureCodes, failureEntry } from "../protocol/failures.ts";

export const troubleshootingFile = join(import.meta.dirname, "../docs/troubleshooting.md");

/** What the first part of a code is about, in the order in which an instance meets it. */
const groups: Readonly<Record<Group, string>> = {
  parameters: "Parameters of the instance",
  identity: "Identity on the instance's disk",
  otp: "One-time passwords",
  "otp-source": "One-time passwords kept in AWS",
  enrol: "Enrolment",
  code: "Join codes of devices",
  link: "The link to the controller",
  protocol: "What is said on a link",
  imds: "The instance metadata service",
  aws: "AWS's API",
  ec2: "Assigning prefixes in EC2",
  prefix: "Prefixes",
  pool: "Pools",
  lease: "Leases",
  store: "The database",
  clock: "The clock",
  datapath: "The data path",
  tunnel: "Tunnels",
  resolver: "The users' resolver",
  notice: "Notices of AWS",
  instance: "The instance",
  placement: "Placement of sessions",
  device: "Devices",
  socket: "The agent's socket",
  health: "Health and metrics",
  admin: "Administration",
  internal: "Defects",
};

type FirstPart<Code extends string> = Code extends `${infer First}.${string}` ? First : Code;
type Group = FirstPart<FailureCode>;

export function troubleshootingPage(): string {
  const sections = Object.entries(groups).map(([group, title]) => {
    const rows = failureCodes.filter((code) => code.split(".")[0] === group).map(rowOf);
    return `### ${title}\n\n| code | what is wrong | what to do | |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `${head}\n${sections.join("\n")}`;
}

const head = `# Troubleshooting

Made from the failure catalogue (\`protocol/catalogue.ts\`) by \`npm run docs\`; do not edit it. The same code stands in
\`connector status\`, in the controller's instance list, in logs, metrics and API answers. On an instance begin with
\`connector status\`, then \`sudo connector check\`: they name the codes with this instance's values.

## By what is seen

| seen | look |
|---|---|
| An instance does not appear in the controller | On it: \`connector status\` has the code, \`sudo connector check\` walks the whole way, \`cloud-init status --long\` tells whether the user-data was taken. No agent: \`systemctl status connector\` has the wrong parameter. [Nobody can log in](image.md#looking-into-an-instance) |
| It is Online and never Active | \`connector prefixes\`: which of controller, AWS and kernel says something else; then \`connector status\` |
| It is Active, and no device gets in | \`connector-controller status\` (devices say dead, none alive): nothing comes in at the UDP port ([ports](aws.md#ports-and-security-groups)), or devices dial a private address: \`publicAddress\` |
| One device does not get in | \`connector-device status\` on it; \`connector-controller device list\` has its path and \`session list --state waiting\` why it has no place. Others are well: its own network may let no UDP out |
| A device is in, and an application does not answer | What [resources](admin.md#what-users-reach) its group has: \`connector-controller resource list CONNECTOR\`. Not by name, but by address: the \`resolver\` codes below. On the instance the firewall [counts](cli.md#conditions-of-the-data-path) what it dropped and what it let through; what went through and is not answered, the application's security group keeps out: it must let in the prefixes |
| Users are moved again and again | \`connector-controller audit list\`: \`sessions.move\` has the reason ([when sessions are moved](admin.md#when-sessions-are-moved)) |

## By code

The last column: **error** keeps something from working, **warning** should be looked at, info is for knowing; what passes by itself
is tried again by itself.
`;

function rowOf(code: FailureCode): string {
  const { summary, hint, severity, retry, shownAfterMs, causedBy } = failureEntry(code);
  const notes = [
    severity === "info" ? "info" : `**${severity}**`,
    ...(retry === "backoff" ? ["tried again by itself"] : []),
    ...(shownAfterMs === undefined ? [] : [`shown after ${shownAfterMs / 1000} s`]),
    ...(causedBy === undefined ? [] : [`hidden while its cause is shown: ${causedBy.join(", ")}`]),
  ];
  return `| \`${code}\` | ${cell(summary)} | ${cell(hint)} | ${notes.join("; ")} |`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (import.meta.main) writeFileSync(troubleshootingFile, troubleshootingPage());
