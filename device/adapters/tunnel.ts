import { type Result, success } from "../../protocol/failures.ts";
import { commandRunner, type Run } from "../../protocol/node/command.ts";
import type { KeyPair } from "../../protocol/node/keys.ts";
import { NetworkInterface } from "../../protocol/node/network-interface.ts";
import { openWireguard, type WireguardOptions } from "../../protocol/node/wireguard/open.ts";
import type { WireguardInterface } from "../../protocol/node/wireguard/port.ts";
import { Secret } from "../../protocol/secret.ts";
import { type PeerReading, type WireguardPlan, wireguardChange } from "../../protocol/wireguard.ts";
import type { TunnelPlan } from "../core/tunnel-plan.ts";
import { applyNames, type NamesWay } from "./tunnel-names.ts";

export interface TunnelHostOptions extends WireguardOptions {
  readonly key: KeyPair;
  readonly names: NamesWay;
}

/** The device's WireGuard interface with its addresses, its routes and the host's name servers. */
export class TunnelHost implements Disposable {
  readonly #options: TunnelHostOptions;
  readonly #wireguard: WireguardInterface;
  readonly #network: NetworkInterface;
  readonly #run: Run;

  static async open(options: TunnelHostOptions): Promise<Result<TunnelHost>> {
    const opened = await openWireguard(options);
    return opened.ok ? success(new TunnelHost(options, opened.value)) : opened;
  }

  private constructor(options: TunnelHostOptions, wireguard: WireguardInterface) {
    this.#options = options;
    this.#wireguard = wireguard;
    this.#run = commandRunner(options.inside);
    this.#network = new NetworkInterface(options.name, this.#run);
  }

  /** Brings the host to the plan. A peer that is to be `afresh` forgets its keys and the handshakes it began. */
  async apply(plan: TunnelPlan, afresh: string | undefined): Promise<Result<void>> {
    if (plan.peers.length === 0) return this.#takeDown();
    const ensured = await this.#wireguard.ensure();
    if (!ensured.ok) return ensured;
    const set = await this.#setPeers(plan, afresh);
    if (!set.ok) return set;
    const routed = await this.#network.apply(plan.network);
    if (!routed.ok) return routed;
    return applyNames(this.#options.names, plan.names, this.#options.name, this.#run);
  }

  /** What is known of a peer; undefined where there is none, or it cannot be read. */
  async peer(publicKey: string): Promise<PeerReading | undefined> {
    const reading = await this.#wireguard.read();
    return reading.ok ? reading.value.peers.get(publicKey) : undefined;
  }

  /** Whether an address answers an echo through the tunnel in time. */
  async echo(address: string, withinMs: number): Promise<boolean> {
    const wait = (withinMs / 1000).toFixed(1);
    const command = ["ping", "-n", "-q", "-c", "1", "-W", wait, "-I", this.#options.name, address];
    return (await this.#run(command, { timeoutMs: withinMs + 1_000 })).ok;
  }

  /** Leaves the tunnel carrying traffic, for the next process to adopt. */
  [Symbol.dispose](): void {
    this.#wireguard[Symbol.dispose]();
  }

  async #setPeers(plan: TunnelPlan, afresh: string | undefined): Promise<Result<void>> {
    const held = await this.#wireguard.read();
    if (!held.ok) return held;
    const wanted = this.#wanted(plan);
    if (afresh === undefined) return this.#wireguard.apply(wireguardChange(held.value, wanted));
    const others = new Map([...held.value.peers].filter(([key]) => key !== afresh));
    const without = { ...wanted, peers: [...others.values()] };
    const removed = await this.#wireguard.apply(wireguardChange(held.value, without));
    if (!removed.ok) return removed;
    return this.#wireguard.apply(wireguardChange({ ...held.value, peers: others }, wanted));
  }

  #wanted({ peers }: TunnelPlan): WireguardPlan {
    const { privateKey, publicKey } = this.#options.key;
    return { privateKey: new Secret(privateKey), publicKey, listenPort: undefined, peers };
  }

  async #takeDown(): Promise<Result<void>> {
    const asked = await applyNames(this.#options.names, undefined, this.#options.name, this.#run);
    const removed = await this.#wireguard.remove();
    // The interface goes in any case; resolved has forgotten it with the interface.
    return this.#options.names.kind === "resolvectl" || !removed.ok ? removed : asked;
  }
}
