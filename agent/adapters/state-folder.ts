import { existsSync, renameSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { storageFailure } from "../../protocol/node/files.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { IdentityFile } from "./identity-file.ts";

export function databaseOf(stateDir: string): string {
  return join(stateDir, "agent.db");
}

/**
 * The resolver's files, and texts on their way to nft: of a running host only, so they are where the socket is. Absolute,
 * because dnsmasq goes to / before it opens the files that it is told of.
 */
export function dataPathFolderOf(socket: string): string {
  return resolve(dirname(socket), "datapath");
}

/** connector-otp.path looks for it where the socket of the service is. */
export function otpSpentFileOf(socket: string): string {
  return resolve(dirname(socket), "otp-spent");
}

/**
 * The disk is a copy of another instance's: keeps that instance's identity and leases aside and makes a new identity.
 * Call it when nothing has the database open. Throws a Failure where the disk fails; can be repeated after a crash
 * anywhere, because the old identity is replaced last.
 */
export function startAfresh(
  stateDir: string,
  identity: IdentityFile,
  ec2InstanceId: string,
  log: Logger,
): void {
  let aside: ReturnType<IdentityFile["setAside"]>;
  try {
    aside = identity.setAside();
    if (aside !== undefined) setDatabaseAside(databaseOf(stateDir), aside.ec2InstanceId);
  } catch (error) {
    throw storageFailure(error, stateDir);
  }
  if (aside === undefined) return;
  const made = identity.make(ec2InstanceId, aside.ec2InstanceId);
  if (!made.ok) throw made.failure;
  const fields = { copiedFrom: aside.ec2InstanceId, kept: aside.path };
  log.warn(fields, "this disk is a copy of another instance's; a new identity was made");
}

/** Under a name of its own each time: after a crash in between there is a second one, begun under the copied identity. */
function setDatabaseAside(database: string, ec2InstanceId: string): void {
  const wanted = `${database}.of-${ec2InstanceId}`;
  let aside = wanted;
  for (let count = 2; existsSync(aside); count++) aside = `${wanted}.${count}`;
  for (const suffix of ["-wal", "-shm", ""]) {
    if (existsSync(database + suffix)) renameSync(database + suffix, aside + suffix);
  }
}
