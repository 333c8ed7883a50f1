import { CaFile } from "../protocol/node/ca-file.ts";
import { Dialer } from "../protocol/node/dialer.ts";
import { Driver } from "../protocol/node/driver.ts";
import { makeFolder, storageFailure } from "../protocol/node/files.ts";
import type { Logger } from "../protocol/node/log.ts";
import { keepTelling, type ServiceManager } from "../protocol/node/service-manager.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import type { Clock } from "../protocol/time.ts";
import type { StatusView } from "../protocol/view.ts";
import { actionsOf, Readings } from "./actions.ts";
import { LinuxDataPath } from "./adapters/datapath-linux.ts";
import { DataPathRecorder } from "./adapters/datapath-recorder.ts";
import { removeDataPath } from "./adapters/datapath-removal.ts";
import { startHealthServer } from "./adapters/health-server.ts";
import { readBootId, readFirmwareInstance } from "./adapters/host.ts";
import { IdentityFile } from "./adapters/identity-file.ts";
import { Imds } from "./adapters/imds.ts";
import { localIpv4Addresses } from "./adapters/interface.ts";
import { Metrics } from "./adapters/metrics.ts";
import { AwsNotices } from "./adapters/notices.ts";
import { OtpFile } from "./adapters/otp.ts";
import { onSchedule } from "./adapters/schedule.ts";
import { startSocketServer } from "./adapters/socket-server.ts";
import { databaseOf, dataPathFolderOf, otpSpentFileOf, startAfresh } from "./adapters/state-folder.ts";
import { openStore } from "./adapters/store.ts";
import { Agent, type AgentEffect, type AgentInput } from "./core/agent.ts";
import type { AgentActions } from "./core/local-api.ts";
import type { Environment, Parameters } from "./core/parameters.ts";
import type { AgentViews, DataPath } from "./core/ports.ts";
import { statusLine } from "./core/status-line.ts";
import { perform } from "./perform.ts";

export interface AgentSetup {
  readonly parameters: Parameters;
  readonly stateDir: string;
  readonly socket: string;
  readonly env: Environment;
  readonly log: Logger;
  readonly clock: Clock;
  /** A UUID that no other process has, whatever agents follow each other in this one. */
  readonly process: string;
  /** When not given: the recorder where the environment says `CONNECTOR_DATAPATH=record`, else the kernel's. */
  readonly dataPath?: DataPath;
  /** Who started this process, and wants to know that it works. */
  readonly manager?: ServiceManager | undefined;
}

export interface RunningAgent extends AsyncDisposable {
  readonly views: AgentViews;
  readonly actions: AgentActions;
  /** Resolves when this agent must be disposed of and another started: the disk turned out to be a copy. */
  readonly over: Promise<"startOver">;
  /** Resolves when it was asked to leave, and has said goodbye. */
  readonly left: Promise<"left">;
  /** Resolves when the controller wants this process to end, for another to be started in its place. */
  readonly replaced: Promise<"restart">;
  /** Something was changed by hand: look at identity, password and metadata again, and dial now. */
  reload(): void;
}

/**
 * One agent, running. Throws a Failure when the state directory or the socket cannot be had; everything else that is
 * wrong is a condition, and is tried again.
 */
export async function startAgent(setup: AgentSetup): Promise<RunningAgent> {
  const { parameters, stateDir, log, clock, env, process } = setup;
  await using started = new AsyncDisposableStack();
  try {
    makeFolder(stateDir);
  } catch (error) {
    throw storageFailure(error, stateDir);
  }
  // The database is also the lock of the state directory: nothing else in it is touched before it is ours.
  const { store, saved } = openStore(databaseOf(stateDir), { log, busyTimeoutMs: 1_000 });
  started.use(store);
  const identity = new IdentityFile(stateDir, log);
  const bootId = readBootId();
  const core = new Agent(
    {
      ...{ parameters, identity: identity.load(), saved, bootId, process },
      firmware: readFirmwareInstance(),
      ...{ version: softwareVersion, random: Math.random },
    },
    clock(),
  );
  const views = core.views(clock);
  const metrics = new Metrics();
  const over = Promise.withResolvers<"startOver">();
  const left = Promise.withResolvers<"left">();
  const replaced = Promise.withResolvers<"restart">();
  let cloneOf: string | undefined;

  const readings = new Readings();
  const post = (input: AgentInput) => driver.post(input);
  const dialer = started.use(
    new Dialer({
      controller: parameters.controller,
      ca: parameters.caFile === undefined ? undefined : new CaFile(parameters.caFile, log),
      post: (input) => post({ kind: "link", input }),
      onUnknown: () => metrics.ignoredFrame(),
    }),
  );
  const imds = new Imds({ env, clock, ip: parameters.ip });
  const outside = {
    dialer,
    identity,
    otp: new OtpFile({
      path: parameters.otpFile,
      credentials: env.CREDENTIALS_DIRECTORY,
      spentFile: otpSpentFileOf(setup.socket),
      log,
    }),
    imds,
    notices: new AwsNotices(imds),
    store,
    dataPath:
      setup.dataPath ?? started.use(chooseDataPath(setup, identity, () => post({ kind: "dataPathNews" }))),
    readings,
    metrics,
    clock,
    bootId,
    localAddresses: localAddresses(env, log),
    log,
    post,
    startOver: (ec2InstanceId: string) => {
      cloneOf = ec2InstanceId;
      over.resolve("startOver");
    },
    left: () => left.resolve("left"),
    restart: () => replaced.resolve("restart"),
  };
  const driver = new Driver<AgentInput, AgentEffect>({
    core,
    perform: (effects) => perform(effects, outside),
    tick: { kind: "tick" },
    clock,
  });
  const actions = actionsOf(driver, views, readings);

  started.use(await startSocketServer({ path: setup.socket, views, actions, log }));
  started.use(await startHealthServer({ listen: parameters.health, views, metrics, log }));
  started.use(onSchedule(parameters.prefixSchedule, () => post({ kind: "verify" }), log));
  started.use(driver);
  post({ kind: "start" });
  // The tick goes the way of all work, the store's commit included: who does not come back from it is not alive.
  const beat = () => {
    post({ kind: "tick" });
    driver.flush();
    return statusLine(views.status());
  };
  if (setup.manager !== undefined) started.use(keepTelling(setup.manager, beat));

  const running = started.move();
  return {
    views,
    actions,
    over: over.promise,
    left: left.promise,
    replaced: replaced.promise,
    reload: () => post({ kind: "reload", identity: identity.load() }),
    [Symbol.asyncDispose]: async () => {
      post({ kind: "stop" });
      driver.flush();
      const hasLeft = isDeparture(views.status());
      await running.disposeAsync();
      if (hasLeft && isKernels(setup)) {
        for (const failure of await removeDataPath(dataPathFolderOf(setup.socket), log)) {
          log.warn({ ...failure.facts }, "a part of the data path could not be taken away");
        }
      }
      if (cloneOf !== undefined) startAfresh(stateDir, identity, cloneOf, log);
    },
  };
}

/** Who ends while it leaves has said goodbye in its last turn. */
function isDeparture({ departure }: StatusView): boolean {
  return departure !== undefined && (departure.state === "left" || departure.reason === "shutdown");
}

/** `CONNECTOR_DATAPATH=record`: nothing of this host's network is touched, and no packet is forwarded. */
function isKernels({ env, dataPath }: AgentSetup): boolean {
  return dataPath === undefined && env.CONNECTOR_DATAPATH !== "record";
}

function chooseDataPath(
  setup: AgentSetup,
  identity: IdentityFile,
  onNews: () => void,
): DataPath & (Disposable | AsyncDisposable) {
  const { parameters, socket, clock, log } = setup;
  if (!isKernels(setup)) return new DataPathRecorder(clock, log);
  return new LinuxDataPath({
    key: () => identity.wireguardKey,
    listenPort: parameters.wireguardPort,
    folder: dataPathFolderOf(socket),
    clock,
    log,
    onNews,
  });
}

/** `CONNECTOR_INTERFACE=imds`: the parameters are compared with the metadata service only, as in the lab. */
function localAddresses(env: Environment, log: Logger): (() => string[]) | undefined {
  if (env.CONNECTOR_INTERFACE !== "imds") return localIpv4Addresses;
  log.warn("the parameters are not compared with this host's interfaces (CONNECTOR_INTERFACE=imds)");
  return undefined;
}
