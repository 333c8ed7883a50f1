import { failed, type Result, success } from "../../protocol/failures.ts";
import type { NetworkPlan, NetworkReading } from "../../protocol/network.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import type { KeyPair } from "../../protocol/node/keys.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { NetworkInterface } from "../../protocol/node/network-interface.ts";
import { openWireguard, type WireguardOptions } from "../../protocol/node/wireguard/open.ts";
import type { WireguardBackend, WireguardInterface } from "../../protocol/node/wireguard/port.ts";
import { Secret } from "../../protocol/secret.ts";
import type { Clock } from "../../protocol/time.ts";
import { type WireguardPlan, type WireguardReading, wireguardChange } from "../../protocol/wireguard.ts";
import type { SessionTraffic } from "../core/ports.ts";
import { callBack, possiblePeers, type TunnelPlan } from "../core/tunnel.ts";
import { tunnelDrift } from "../core/tunnel-drift.ts";
import type { Owners } from "../core/tunnel-owners.ts";
import { refusedRoutes, withoutRefused } from "../core/tunnel-routes.ts";
import { TunnelTraffic } from "../core/tunnel-traffic.ts";

export interface TunnelOptions extends Omit<WireguardOptions, "onMade"> {
  readonly key: KeyPair;
  readonly listenPort: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** The interface was lost and is there again; the plan it had was applied to it with this result. */
  readonly onRenewed: (result: Result<TunnelState>) => void;
}

/** What was read back. */
export interface TunnelState {
  /** The prefixes that are routed into the tunnel. */
  readonly routes: readonly string[];
  readonly peers: number;
  /** How it differs from the plan, in words; empty when it does not. */
  readonly drift: readonly string[];
}

/** Its addresses and routes, found as they should be. */
interface Found {
  readonly network: NetworkReading;
  /** JSON. */
  readonly plan: string;
  readonly atMs: number;
}

/**
 * So long what was found is taken to be so while only devices come and go: asking `ip` for it takes a host that many devices
 * come to at once longer than everything else, and the last of them waits for it.
 */
const foundForMs = 10_000;

/**
 * The instance's WireGuard interface with its routes: brought to a plan as a difference, read back, and brought there
 * again when its process was lost. One thing is done at a time. Disposing leaves it carrying traffic.
 */
export class Tunnel implements Disposable {
  readonly #options: TunnelOptions;
  readonly #wireguard: WireguardInterface;
  readonly #network: NetworkInterface;
  readonly #traffic = new TunnelTraffic();
  #plan: TunnelPlan | undefined;
  /** Where peers were last heard. BOUNDED: one per peer of the last reading that had any. */
  #endpoints: ReadonlyMap<string, string> = new Map();
  #found: Found | undefined;
  /** What is done now; the next waits for it. */
  #turn: Promise<unknown> = Promise.resolve();

  /** The interface is adopted or chosen here, and made by the first `apply`. */
  static async open(options: TunnelOptions): Promise<Result<Tunnel>> {
    const holder: { tunnel?: Tunnel } = {};
    const opened = await openWireguard({ ...options, onMade: () => holder.tunnel?.renew() });
    if (!opened.ok) return opened;
    holder.tunnel = new Tunnel(options, opened.value);
    return success(holder.tunnel);
  }

  private constructor(options: TunnelOptions, wireguard: WireguardInterface) {
    this.#options = options;
    this.#wireguard = wireguard;
    this.#network = new NetworkInterface(options.name, commandRunner(options.inside));
  }

  get backend(): WireguardBackend {
    return this.#wireguard.backend;
  }

  /** Brings the interface to the plan and reads it back. What differs then is in the answer, not a failure. */
  apply(plan: TunnelPlan): Promise<Result<TunnelState>> {
    this.#plan = plan;
    if (plan.contested.length > 0) {
      const [first] = plan.contested;
      this.#options.log.error(
        { first, count: plan.contested.length },
        "addresses of two devices, given to neither",
      );
    }
    const impossible = plan.peers.length - possiblePeers(plan.peers, this.#options.key.publicKey).length;
    if (impossible > 0)
      this.#options.log.warn({ count: impossible }, "devices have a key that no device can have");
    return this.#inTurn(() => this.#bring(plan));
  }

  /** Reads the interface and compares it with the plan applied last; changes nothing. */
  compare(): Promise<Result<TunnelState>> {
    return this.#inTurn(() => this.#compare(this.#plan));
  }

  /** Whose each user address is in the kernel now, empty where there is no interface yet. */
  async holders(): Promise<Owners> {
    const held = await this.#inTurn(() => this.#read());
    const peers = held.ok ? [...held.value.peers.values()] : [];
    return new Map(
      peers.flatMap(({ publicKey, allowedIps }) =>
        allowedIps.map((prefix) => {
          return [prefix.replace(/\/\d+$/, ""), { wireguardKey: publicKey, group: undefined }] as const;
        }),
      ),
    );
  }

  /** What each session's device has sent and received, and when it was last heard. */
  async traffic(): Promise<Result<ReadonlyMap<string, SessionTraffic>>> {
    const reading = await this.#inTurn(() => this.#read());
    if (!reading.ok) return reading;
    return success(
      this.#traffic.take(reading.value, this.#plan?.sessionsOf ?? new Map(), this.#options.clock()),
    );
  }

  /** Ends the interface and everything that goes through it: when the instance leaves for good. */
  remove(): Promise<Result<void>> {
    this.#plan = undefined;
    return this.#inTurn(() => this.#wireguard.remove());
  }

  [Symbol.dispose](): void {
    this.#plan = undefined;
    this.#wireguard[Symbol.dispose]();
  }

  renew(): void {
    const plan = this.#plan;
    this.#found = undefined;
    if (plan === undefined) return;
    void this.#inTurn(() => this.#bring(plan)).then((result) => {
      if (result.ok) this.#options.log.info({ peers: result.value.peers }, "the tunnel was set up anew");
      else this.#options.log.warn({ ...result.failure.facts }, "the tunnel could not be set up anew");
      this.#options.onRenewed(result);
    });
  }

  async #bring(plan: TunnelPlan): Promise<Result<TunnelState>> {
    const found = this.#foundFor(plan.network);
    const changed = found && (await this.#bringPeers(plan, found));
    if (changed?.ok && changed.value.drift.length === 0) return changed;
    return this.#bringAll(plan);
  }

  #foundFor(plan: NetworkPlan): NetworkReading | undefined {
    const found = this.#found;
    const isSame = found !== undefined && found.plan === JSON.stringify(plan);
    const isRecent = isSame && this.#options.clock().monotonicMs < found.atMs + foundForMs;
    return isRecent ? found.network : undefined;
  }

  /** Undefined where the interface is not the one that was found, or nobody comes or goes: then something else is wrong. */
  async #bringPeers(plan: TunnelPlan, network: NetworkReading): Promise<Result<TunnelState> | undefined> {
    const held = await this.#read();
    if (!held.ok || held.value.publicKey !== this.#options.key.publicKey) return undefined;
    const change = wireguardChange(held.value, this.#wanted(plan.peers));
    if (change.set.length + change.remove.length === 0) return undefined;
    const set = await this.#wireguard.apply(change);
    if (!set.ok) return set;
    const after = await this.#read();
    return after.ok ? success(this.#state(plan, { wireguard: after.value, network })) : after;
  }

  async #bringAll(plan: TunnelPlan): Promise<Result<TunnelState>> {
    const ensured = await this.#wireguard.ensure();
    if (!ensured.ok) return ensured;
    const held = await this.#read();
    if (!held.ok) return held;
    // An interface without a key has lost its memory, or never had one.
    const lost = held.value.publicKey === undefined && this.#endpoints.size > 0;
    const peers = lost ? callBack(plan.peers, this.#endpoints) : plan.peers;
    const set = await this.#wireguard.apply(wireguardChange(held.value, this.#wanted(peers)));
    if (!set.ok) return set;
    const network = await this.#network.read();
    if (!network.ok) return network;
    const refused = refusedRoutes(network.value, plan.network);
    const routed = await this.#network.change(network.value, withoutRefused(plan.network, refused));
    if (!routed.ok) return routed;
    return lost ? this.#bringAll(plan) : this.#compare(plan);
  }

  async #compare(plan: TunnelPlan | undefined): Promise<Result<TunnelState>> {
    const wireguard = await this.#read();
    if (!wireguard.ok) return wireguard;
    const network = await this.#network.read();
    if (!network.ok) return network;
    if (plan === undefined) return failed("datapath.failing", { error: "the tunnel has no plan" });
    const state = this.#state(plan, { wireguard: wireguard.value, network: network.value });
    const { monotonicMs: atMs } = this.#options.clock();
    const isAsPlanned = state.drift.length === 0;
    this.#found = isAsPlanned
      ? { network: network.value, plan: JSON.stringify(plan.network), atMs }
      : undefined;
    return success(state);
  }

  #state(
    plan: TunnelPlan,
    held: { readonly wireguard: WireguardReading; readonly network: NetworkReading },
  ): TunnelState {
    const wanted = { wireguard: this.#wanted(plan.peers), network: plan.network };
    return {
      routes: held.network.routes.map(({ to }) => to),
      peers: held.wireguard.peers.size,
      drift: tunnelDrift(this.#options.name, held, wanted),
    };
  }

  async #read(): Promise<Result<WireguardReading>> {
    const reading = await this.#wireguard.read();
    if (reading.ok && reading.value.peers.size > 0) {
      this.#endpoints = new Map(
        [...reading.value.peers.values()].flatMap(({ publicKey, endpoint }) =>
          endpoint === undefined ? [] : [[publicKey, endpoint] as const],
        ),
      );
    }
    return reading;
  }

  #wanted(peers: TunnelPlan["peers"]): WireguardPlan {
    const { key, listenPort } = this.#options;
    const { privateKey, publicKey } = key;
    return {
      privateKey: new Secret(privateKey),
      publicKey,
      listenPort,
      peers: possiblePeers(peers, publicKey),
    };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
