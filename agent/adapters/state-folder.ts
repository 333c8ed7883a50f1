import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../../protocol/node/log.ts";
import type { IdentityFile } from "./identity-file.ts";

export function databaseOf(stateDir: string): string {
  return join(stateDir, "agent.db");
}

/**
 * The disk is a copy of another instance's: keeps that instance's identity and leases aside and makes a new identity.
 * Call it when nothing has the database open. Throws the file system's error; can be repeated after a crash anywhere,
 * because the old identity is replaced last.
 */
export function startAfresh(
  stateDir: string,
  identity: IdentityFile,
  ec2InstanceId: string,
  log: Logger,
): void {
  const aside = identity.setAside();
  if (aside === undefined) return;
  const database = databaseOf(stateDir);
  for (const suffix of ["-wal", "-shm", ""]) {
    if (!existsSync(`${database}${suffix}`)) continue;
    renameSync(`${database}${suffix}`, `${database}.of-${aside.ec2InstanceId}${suffix}`);
  }
  const made = identity.make(ec2InstanceId, aside.ec2InstanceId);
  if (!made.ok) throw made.failure;
  const fields = { copiedFrom: aside.ec2InstanceId, kept: aside.path };
  log.warn(fields, "this disk is a copy of another instance's; a new identity was made");
}
