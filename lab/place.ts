import type { Imds } from "./imds/server.ts";
import type { ProcessOptions } from "./process.ts";
import type { Host } from "./vpc/host.ts";

/** Where one process of the lab runs. */
export interface Site {
  /** How it is started there. */
  readonly process: Pick<ProcessOptions, "command" | "env">;
  /** Its machine, when it has one of its own. */
  readonly host: Host | undefined;
}

export interface ControllerSite extends Site {
  /** What it listens on, `address:port`. */
  readonly listen: string;
  /** What its certificate is for: everything it is reached by. */
  readonly names: readonly string[];
  /** What agents and devices dial. */
  readonly url: string;
  /** The same controller, for its administrator on the machine that runs the lab. */
  readonly adminUrl: string;
}

export interface InstanceSite extends Site {
  /** Its metadata service; what is assigned through it is routed to it, where anything is. */
  readonly imds: Imds;
  /** Where that service answers on the instance. */
  readonly metadataUrl: string;
  /** What its agent is told besides what every instance is. */
  readonly parameters: { readonly health: string; readonly publicAddress?: string };
  /** Where its health and metrics are found from the machine that runs the lab. */
  healthUrl(): Promise<string>;
}

export interface DeviceSite extends Site {
  /** Options of `connector-device run`: its tunnel and its names. */
  readonly options: readonly string[];
}

/**
 * Where the lab's processes run, and which addresses they get. Labs differ in nothing else. A name is of one site; the
 * sites end with the place, whatever still runs on them included.
 */
export interface Place extends AsyncDisposable {
  /** What flows between its sites, in one line. */
  readonly about: string;
  /** A shell function: `on NAME COMMAND…` runs a command on a site. */
  readonly shell: string;
  addController(): Promise<ControllerSite>;
  addInstance(name: string, imds: Imds): Promise<InstanceSite>;
  addDevice(name: string): Promise<DeviceSite>;
  /** When the private applications answer. @throws Error when they do not start. */
  applications(): Promise<void>;
}
