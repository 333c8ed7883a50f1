import { execFileSync } from "node:child_process";
import type { Lab } from "../../lab/lab.ts";
import { connectorName } from "../../lab/plan.ts";
import { scripts } from "../../lab/scripts.ts";

/** What `connector-controller user-data` prints, with an OTP inside; with further options of it. */
export function generatedUserData(lab: Lab, ...options: readonly string[]): string {
  const { adminUrl, url } = lab.controller.site;
  const connection = [
    "--controller",
    adminUrl,
    "--ca-file",
    lab.controller.caFile,
    "--token-file",
    lab.controller.tokenFile,
  ];
  const command = [
    scripts.controller,
    "user-data",
    connectorName,
    "--quiet",
    "--url",
    url,
    ...connection,
    ...options,
  ];
  return execFileSync(process.execPath, command, { encoding: "utf8" });
}

/** The public address that the lab's devices dial, and prefixes read more often than in production. */
export function withLabParameters(userData: string, publicAddress: string): string {
  return userData.replace(/^( +)controller: .*$/m, (line, indent) => {
    return `${line}\n${indent}publicAddress: ${publicAddress}\n${indent}prefixSchedule: "*/5 * * * * *"`;
  });
}

/** The same, and a shell at the serial console, which the image gives to nobody. */
export function withLabNeeds(userData: string, publicAddress: string): string {
  return withLabParameters(userData, publicAddress)
    .replace(/^write_files:\n/m, (line) => `${line}${shellAtConsole}`)
    .replace(/^runcmd:\n/m, (line) => `${line}${startShell}`);
}

/** The same for a machine that is given no OTP. */
export function withoutOtp(userData: string): string {
  return userData.replace(/^ {2}- path: \/run\/credstore\/connector\.otp\n(?: {4}.*\n)+/m, "");
}

const shellAtConsole = `  - path: /etc/systemd/system/serial-getty@ttyS0.service.d/shell.conf
    content: |
      [Service]
      ExecStart=
      ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 - dumb
`;
const startShell = `  - [systemctl, daemon-reload]
  - [systemctl, restart, --no-block, serial-getty@ttyS0.service]
`;
