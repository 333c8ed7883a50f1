import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../protocol/secret.ts";
import { Administrator } from "./admin.ts";
import {
  createAuthority,
  type RegionSigner,
  writeRegionCertificates,
  writeServerFiles,
} from "./certificates.ts";
import type { ControllerSite } from "./place.ts";
import { Process, type ProcessOptions } from "./process.ts";
import { scripts } from "./scripts.ts";
import { waitFor } from "./wait.ts";

/** The controller's process, and what its administrator has in hand. */
export interface LabController {
  readonly process: Process;
  readonly site: ControllerSite;
  /** Where its administrator finds it. */
  readonly url: string;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly stateFolder: string;
  readonly admin: Administrator;
}

/** Numbers of `controller.yaml`, by field. */
export type ControllerSettings = Readonly<Record<string, number>>;

/** What is on a controller's disk before it starts for the first time. */
export interface Prepared {
  readonly folder: string;
  readonly stateFolder: string;
  readonly tokenFile: string;
  readonly token: string;
}

/** Makes the first admin token. */
export async function prepareController(folder: string): Promise<Prepared> {
  const stateFolder = join(folder, "state");
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  const tokenFile = join(folder, "admin.token");
  return { folder, stateFolder, tokenFile, token: await createToken(stateFolder, tokenFile) };
}

/** A controller with a certificate of the lab's own CA, and its AWS certificates. */
export async function startController(
  prepared: Prepared,
  site: ControllerSite,
  signer: RegionSigner,
  options: {
    readonly onExit?: ProcessOptions["onExit"];
    readonly signal?: AbortSignal | undefined;
    readonly settings: ControllerSettings;
  },
): Promise<LabController> {
  const { folder, stateFolder, tokenFile, token } = prepared;
  const awsFolder = join(folder, "aws-certificates");
  mkdirSync(awsFolder, { recursive: true, mode: 0o700 });
  const authority = await createAuthority();
  const [files] = await Promise.all([
    authority.issueServer(site.names).then((certificate) => writeServerFiles(folder, authority, certificate)),
    writeRegionCertificates(awsFolder, [signer]),
  ]);
  const listen = ["--listen", site.listen, "--state-dir", stateFolder];
  const config = join(folder, "controller.yaml");
  writeFileSync(config, JSON.stringify(options.settings));
  const tls = ["--tls-cert", files.certificate, "--tls-key", files.privateKey];
  const process = new Process({
    ...site.process,
    name: "controller",
    args: [
      scripts.controller,
      "serve",
      "--config",
      config,
      ...listen,
      ...tls,
      "--aws-certificates",
      awsFolder,
    ],
    logFile: join(folder, "controller.log"),
    ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
  });
  process.start();
  const { adminUrl: url } = site;
  const ca = authority.certificatePem;
  const admin = new Administrator({ url: new URL(url), ca, token: new Secret(token) });
  const controller = { process, site, url, caFile: files.ca, tokenFile, stateFolder, admin };
  try {
    await waitFor("the controller to answer", 30_000, () => answers(controller), options.signal);
    return controller;
  } catch (error) {
    await process.stop();
    throw new Error(`${(error as Error).message}\n${process.tail(10).join("\n")}`, { cause: error });
  }
}

async function answers({ admin }: LabController): Promise<boolean> {
  try {
    await admin.call("connector.list", {});
    return true;
  } catch {
    return false;
  }
}

/** As an operator makes the first one: on the controller's own host, before there is anyone to ask over the API. */
async function createToken(stateFolder: string, tokenFile: string): Promise<string> {
  const what = ["token", "create", "--state-dir", stateFolder, "--name", "lab", "--out", tokenFile];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  execFile(process.execPath, [scripts.controller, ...what], (error, _output, errors) => {
    if (error === null) resolve();
    else reject(new Error(`the first admin token could not be created: ${errors}`, { cause: error }));
  });
  await promise;
  return readFileSync(tokenFile, "utf8").trim();
}
