import { linkDefaults } from "../protocol/link.ts";
import { type Challenge, type ClientMessage, proofText } from "../protocol/messages.ts";
import { CaFile } from "../protocol/node/ca-file.ts";
import { systemClock } from "../protocol/node/clock.ts";
import { Dialer } from "../protocol/node/dialer.ts";
import { Driver } from "../protocol/node/driver.ts";
import { makeFolder } from "../protocol/node/files.ts";
import type { Logger } from "../protocol/node/log.ts";
import { softwareVersion } from "../protocol/node/software.ts";
import { protocolVersion, protocolVersionMin } from "../protocol/version.ts";
import { ControllerAddresses } from "./adapters/controller-addresses.ts";
import { logEvent } from "./adapters/event-log.ts";
import { hostOs } from "./adapters/host.ts";
import { type DeviceKeys, openKeys } from "./adapters/keys-file.ts";
import { StateFile } from "./adapters/state-file.ts";
import { UserFiles } from "./adapters/user-files.ts";
import { startCarrier, type TunnelChoice } from "./carrier.ts";
import type { Proof } from "./core/admission.ts";
import { Device } from "./core/device.ts";
import type { DeviceEffect, DeviceInput } from "./core/effects.ts";

export interface DeviceOptions {
  /** The controller's URL. */
  readonly controller: string;
  /** PEM file of the only CAs to trust; the system's when absent. */
  readonly caFile?: string | undefined;
  readonly stateFolder: string;
  /** Where a join code lies or will lie. */
  readonly codeFile?: string | undefined;
  /** What the administrator's list calls this device. */
  readonly name: string;
  readonly tunnel: TunnelChoice;
  readonly log: Logger;
}

export interface RunningDevice extends Disposable {
  /** Tries again now what the controller refused. */
  retry(): void;
}

/**
 * Runs a device until it is disposed of.
 * @throws Failure `identity.unreadable`, or the file system's error for the state directory or the CA file.
 */
export function startDevice(options: DeviceOptions): RunningDevice {
  const { log, stateFolder } = options;
  makeFolder(stateFolder, 0o700);
  const ca = options.caFile === undefined ? undefined : new CaFile(options.caFile, log);
  const keys = openKeys(stateFolder);
  const files = new UserFiles(stateFolder, options.codeFile);
  const stateFile = new StateFile(stateFolder);
  const { saved, keptAs } = stateFile.open();
  if (keptAs !== undefined) log.warn({ code: "device.state-damaged", keptAs }, "the state file was damaged");

  const readCode = () => readOr(log, "the join code cannot be read", () => files.readCode());
  const core = new Device({
    link: { ...linkDefaults, random: Math.random },
    hostOs: hostOs(),
    version: softwareVersion,
    probes: options.tunnel.is === "on",
    wants: files.readWants(),
    code: readCode(),
    saved,
  });
  const driver = new Driver<DeviceInput, DeviceEffect>({
    core,
    perform: (effects) => {
      for (const effect of effects) perform(effect);
    },
    tick: { kind: "tick" },
    clock: systemClock,
  });
  const post = (input: DeviceInput) => driver.post(input);
  const tunnel = startCarrier({ choice: options.tunnel, key: keys.wireguard, stateFolder, log, post });
  const controller = new ControllerAddresses(options.controller, (addresses) => {
    // The link that reports a dead path must not go through it.
    return tunnel?.outside(addresses) ?? Promise.resolve();
  });
  const dialer = new Dialer({
    controller: options.controller,
    lookup: controller.lookup,
    ca,
    post: (input) => post({ kind: "link", input }),
    onUnknown: (type) => log.debug({ type }, "ignored a message of unknown type"),
  });

  function perform(effect: DeviceEffect): void {
    switch (effect.do) {
      case "dial":
        dialer.dial(effect.dialId);
        return;
      case "prove":
        dialer.send(effect.dialId, proofMessage(keys, options.name, effect.challenge, effect.with));
        return;
      case "send":
        dialer.send(effect.dialId, effect.message);
        return;
      case "hangUp":
        dialer.hangUp(effect.dialId, effect.close);
        return;
      case "save": {
        const { effectId } = effect;
        const result = stateFile.save(effect.state);
        if (result.ok) driver.post({ kind: "saved", effectId });
        else driver.post({ kind: "saveFailed", effectId, why: result.failure.code });
        return;
      }
      case "lead":
        tunnel?.want(effect.to);
        return;
      case "removeCode":
        removeCode(files, log);
        return;
      case "tell":
        logEvent(log, effect.event);
        return;
    }
  }

  files.watch(
    () => driver.post({ kind: "code", code: readCode() }),
    () => {
      // What was known stays.
      const wants = readOr(log, "whether to be attached cannot be read", () => files.readWants());
      if (wants !== undefined) driver.post({ kind: "wants", wants });
    },
  );
  driver.post({ kind: "start" });
  return {
    retry: () => driver.post({ kind: "retry" }),
    [Symbol.dispose]: () => {
      driver.post({ kind: "stop" });
      driver.flush();
      driver[Symbol.dispose]();
      files[Symbol.dispose]();
      tunnel?.[Symbol.dispose]();
    },
  };
}

/** Undefined where it cannot be read, as where another user wrote it; told once, for it is read again when it changes. */
function readOr<T>(log: Logger, unreadable: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    log.warn({ problem: (error as Error).message }, unreadable);
    return undefined;
  }
}

/** It may lie where only others can remove it. Nobody can join with it again. */
function removeCode(files: UserFiles, log: Logger): void {
  try {
    files.removeCode();
    log.info("removed the join code, it has done its work");
  } catch (error) {
    log.warn({ problem: (error as Error).message }, "the join code has done its work and cannot be removed");
  }
}

function proofMessage(keys: DeviceKeys, name: string, challenge: Challenge, proof: Proof): ClientMessage {
  const common = {
    version: protocolVersion,
    minimumVersion: protocolVersionMin,
    identityKey: keys.identityKey,
    wireguardKey: keys.wireguardKey,
    signature: keys.sign(proofText("device", challenge, keys.identityKey)),
    software: softwareVersion,
    wallMs: Date.now(),
  };
  switch (proof.as) {
    case "device":
      return { type: "hello", role: "device", ...common };
    case "guest":
      return { type: "join", name, code: proof.code.reveal(), ...common };
  }
}
