import { systemClock } from "../../../protocol/node/clock.ts";
import { Imds } from "../../adapters/imds.ts";
import { localIpv4Addresses } from "../../adapters/interface.ts";
import { loadParameters } from "../../adapters/parameters.ts";
import type { Environment, Parameters } from "../../core/parameters.ts";
import type { Report } from "../page.ts";
import { judgeClock, lookAtClock } from "./clock.ts";
import { judgeCloudInit, lookAtCloudInit } from "./cloud-init.ts";
import { judgeController, walkToController } from "./controller.ts";
import { type DataPathHost, judgeDataPath, lookAtDataPath } from "./datapath/main.ts";
import { isEnrolled, judgeIdentity, lookAtIdentity } from "./identity.ts";
import { type Line, skip } from "./line.ts";
import { judgeEndpoint, judgeMetadata } from "./metadata.ts";
import { judgeParameters, readCa } from "./parameters.ts";
import { checkReport } from "./report.ts";
import { judgeOtp, judgeStateFolder, lookAtFile, lookAtFolder } from "./state.ts";

/** What an agent without parameters would listen at. */
const wireguardPort = 51820;

export interface Host {
  readonly parameters: string;
  readonly stateDir: string;
  readonly env: Environment;
}

/**
 * Looks at everything the agent needs, without the agent: first all that is to be seen, side by side and each within
 * its time; then the judgement, which is pure.
 */
export async function checkHost({ parameters: path, stateDir, env }: Host): Promise<Report> {
  const result = loadParameters(path, env);
  const parameters = result.ok ? result.value : undefined;
  const { ca, lines: caLines } = readCa(parameters?.caFile);
  const identity = lookAtIdentity(stateDir);
  const [{ metadata, dataPath }, controller, clock] = await Promise.all([
    lookAtMetadata(parameters, env).then(async (metadata) => {
      const host = {
        ip: parameters?.ip,
        wireguardPort: parameters?.wireguardPort ?? wireguardPort,
        stateDir,
        reading: metadata.reading,
      };
      return { metadata, dataPath: await linesOfDataPath(host, env) };
    }),
    parameters === undefined ? undefined : walkToController(parameters.controller, ca),
    lookAtClock(),
  ]);
  const local = env.CONNECTOR_INTERFACE === "imds" ? undefined : localIpv4Addresses();
  const otp = parameters && lookAtFile(parameters.otpFile);
  const cloudInit = lookAtCloudInit(env.CONNECTOR_CLOUD_INIT_RESULT);
  return checkReport([
    ...judgeCloudInit(cloudInit, metadata.hasUserData),
    ...judgeParameters(path, result),
    ...judgeMetadata(metadata.reading, parameters, local),
    judgeEndpoint(parameters, metadata.publicIpv4),
    judgeStateFolder(stateDir, lookAtFolder(stateDir)),
    judgeIdentity(identity, metadata.ec2InstanceId),
    judgeOtp(parameters?.otpFile, otp, isEnrolled(identity)),
    ...caLines,
    ...(controller === undefined ? noController() : judgeController(controller, Date.now())),
    ...judgeClock(clock, controller?.http),
    ...dataPath,
  ]);
}

async function lookAtMetadata(parameters: Parameters | undefined, env: Environment) {
  const imds = new Imds({ env, clock: systemClock, ip: parameters?.ip });
  const reading = await imds.readPrefixes();
  if (reading.is === "unknown") return { reading };
  const [id, publicIpv4, userData] = await Promise.all([
    imds.get("meta-data/instance-id"),
    imds.get("meta-data/public-ipv4"),
    imds.get("user-data"),
  ]);
  return {
    reading,
    ec2InstanceId: id.ok ? id.value : undefined,
    publicIpv4: publicIpv4.ok ? publicIpv4.value?.trim() : undefined,
    hasUserData: userData.ok ? userData.value !== undefined : undefined,
  };
}

async function linesOfDataPath(host: DataPathHost, env: Environment): Promise<Line[]> {
  if (env.CONNECTOR_DATAPATH === "record") {
    return [skip("data path", "not looked at: CONNECTOR_DATAPATH=record, the agent leaves the kernel alone")];
  }
  return judgeDataPath(await lookAtDataPath(host), host);
}

function noController(): Line[] {
  return [skip("controller", "needs valid parameters")];
}
