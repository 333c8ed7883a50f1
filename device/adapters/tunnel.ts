import { Failure, failed, type Result, success } from "../../protocol/failures.ts";
import { type NetworkReading, networkAfter } from "../../protocol/network.ts";
import { commandRunner, type Run } from "../../protocol/node/command.ts";
import type { KeyPair } from "../../protocol/node/keys.ts";
import { NetworkInterface } from "../../protocol/node/network-interface.ts";
import { linkKind } from "../../protocol/node/wireguard/kernel.ts";
import { openWireguard, type WireguardOptions } from "../../protocol/node/wireguard/open.ts";
import type { WireguardBackend, WireguardInterface } from "../../protocol/node/wireguard/port.ts";
import { Secret } from "../../protocol/secret.ts";
import { type PeerReading, type WireguardPlan, wireguardChange } from "../../protocol/wireguard.ts";
import type { Echo, Question } from "../core/question.ts";
import type { Applied } from "../core/tunnel.ts";
import { type TunnelPlan, withoutIpv6 } from "../core/tunnel-plan.ts";
import { applyNames, type NamesWay } from "./tunnel-names.ts";

export interface TunnelHostOptions extends WireguardOptions {
  readonly key: KeyPair;
  readonly names: NamesWay;
}

/** What the host has, of that which a plan is compared with. */
interface Known {
  readonly network: NetworkReading;
  readonly hasIpv6: boolean;
}

/**
 * The device's WireGuard interface with its addresses, its routes and the host's name servers. Nothing is opened before
 * the first plan, so that what cannot be opened is a failure like any other, and tried again.
 */
export class TunnelHost implements Disposable {
  readonly #options: TunnelHostOptions;
  readonly #network: NetworkInterface;
  readonly #run: Run;
  #wireguard: WireguardInterface | undefined;
  /** What the last change has left, if it was carried out. */
  #known: Known | undefined;

  constructor(options: TunnelHostOptions) {
    this.#options = options;
    this.#run = commandRunner(options.inside);
    this.#network = new NetworkInterface(options.name, this.#run);
  }

  /** What carries the interface; undefined before it was first there. */
  get backend(): WireguardBackend | undefined {
    return this.#wireguard?.backend;
  }

  /**
   * Brings the host to the plan. A peer that is to be `afresh` forgets its keys and the handshakes it began. Unless it
   * `looks`, the host is taken to be as it was left. Fails with `tunnel.failing` or `tunnel.name-taken`; names alone do
   * not fail it.
   */
  async apply(plan: TunnelPlan, afresh: string | undefined, looks = true): Promise<Result<Applied>> {
    try {
      const applied = await (plan.peers.length === 0 ? this.#takeDown() : this.#setUp(plan, afresh, looks));
      return applied.ok ? applied : { ok: false, failure: asTunnelFailure(applied.failure) };
    } catch (error) {
      return failed("tunnel.failing", { error: (error as Error).message }, error);
    }
  }

  /** What is known of a peer; undefined where there is none, or it cannot be read. */
  async peer(publicKey: string): Promise<PeerReading | undefined> {
    const reading = await this.#wireguard?.read();
    return reading?.ok ? reading.value.peers.get(publicKey) : undefined;
  }

  /**
   * Whether an address answers through the tunnel. One process for all echoes: several at once would cost a busy host what it
   * lacks.
   */
  async echo(address: string, question: Question): Promise<Echo> {
    const limits = ["-i", String(echoEveryMs / 1000), ...questionLimits[question]];
    const command = ["ping", "-n", "-q", ...limits, "-I", this.#options.name, address];
    const asked = await this.#run(command, { timeoutMs: 3_000 });
    if (asked.ok) return answerIn(asked.value, question);
    // ping(8): 1 when nothing came back, without a word on standard error; 2 and words for everything else.
    return { is: asked.failure.facts.error === "exit code 1" ? "silent" : "unsent" };
  }

  /** Leaves the tunnel carrying traffic, for the next process to adopt. */
  [Symbol.dispose](): void {
    this.#wireguard?.[Symbol.dispose]();
  }

  async #open(): Promise<Result<WireguardInterface>> {
    if (this.#wireguard !== undefined) return success(this.#wireguard);
    const opened = await openWireguard(this.#options);
    if (!opened.ok) return opened;
    const kind = await linkKind(this.#options.name, this.#run);
    if (!kind.ok) return kind;
    const held = kind.value === "none" ? undefined : await opened.value.read();
    if (held?.ok && this.#isOthers(held.value.publicKey)) return this.#nameTaken("another WireGuard key");
    // A tunnel of wireguard-go's ends with its process, so this one has another.
    if (held !== undefined && !held.ok && hasNoSocket(held.failure))
      return this.#nameTaken("another program");
    this.#wireguard = opened.value;
    return opened;
  }

  async #setUp(plan: TunnelPlan, afresh: string | undefined, looks: boolean): Promise<Result<Applied>> {
    const known = looks ? undefined : this.#known;
    if (known !== undefined && this.#wireguard !== undefined) {
      const changed = await this.#change(this.#wireguard, known, plan, afresh);
      // What failed may be otherwise than it was left.
      if (changed.ok) return changed;
    }
    const opened = await this.#open();
    if (!opened.ok) return opened;
    const ensured = await opened.value.ensure();
    if (!ensured.ok) return ensured;
    // Read beforehand: between the peer's change and the addresses' the user's packets go nowhere.
    const [held, hasIpv6] = await Promise.all([this.#network.read(), this.#hasIpv6()]);
    if (!held.ok) return held;
    return this.#change(opened.value, { network: held.value, hasIpv6 }, plan, afresh);
  }

  async #change(
    wireguard: WireguardInterface,
    { network, hasIpv6 }: Known,
    plan: TunnelPlan,
    afresh: string | undefined,
  ): Promise<Result<Applied>> {
    this.#known = undefined;
    const fitting = hasIpv6 ? plan : withoutIpv6(plan);
    const set = await this.#setPeers(wireguard, plan, afresh);
    if (!set.ok) return set;
    const routed = await this.#network.change(network, fitting.network);
    if (!routed.ok) return routed;
    this.#known = { network: networkAfter(network, fitting.network), hasIpv6 };
    const { names, name } = this.#options;
    const asked = await applyNames(names, fitting.names, name, this.#run);
    return success({ names: asked.ok ? undefined : namesFailure(asked.failure) });
  }

  async #setPeers(
    wireguard: WireguardInterface,
    plan: TunnelPlan,
    afresh: string | undefined,
  ): Promise<Result<void>> {
    const held = await wireguard.read();
    if (!held.ok) return held;
    // Control sockets share one folder on a host: a device in another network namespace may have the name.
    if (this.#isOthers(held.value.publicKey)) return this.#nameTaken("another WireGuard key");
    const wanted = this.#wanted(plan);
    if (afresh === undefined) return wireguard.apply(wireguardChange(held.value, wanted));
    const others = new Map([...held.value.peers].filter(([key]) => key !== afresh));
    const without = { ...wanted, peers: [...others.values()] };
    const removed = await wireguard.apply(wireguardChange(held.value, without));
    if (!removed.ok) return removed;
    return wireguard.apply(wireguardChange({ ...held.value, peers: others }, wanted));
  }

  #wanted({ peers }: TunnelPlan): WireguardPlan {
    const { privateKey, publicKey } = this.#options.key;
    return { privateKey: new Secret(privateKey), publicKey, listenPort: undefined, peers };
  }

  /** The kernel refuses IPv6 on an interface where it is switched off, and has no such file where it is not built in. */
  async #hasIpv6(): Promise<boolean> {
    const off = await this.#run(["cat", `/proc/sys/net/ipv6/conf/${this.#options.name}/disable_ipv6`]);
    return off.ok && off.value.trim() === "0";
  }

  /** Only what has our key is ours to remove. */
  async #takeDown(): Promise<Result<Applied>> {
    this.#known = undefined;
    const { name, names } = this.#options;
    const kind = await linkKind(name, this.#run);
    if (!kind.ok) return kind;
    if (kind.value === "none" && this.#wireguard === undefined) {
      // Lines in a file outlive the interface.
      await applyNames(names, undefined, name, this.#run);
      return success({ names: undefined });
    }
    const opened = await this.#open();
    if (!opened.ok) return isNameTaken(opened.failure) ? success({ names: undefined }) : opened;
    const asked = await applyNames(names, undefined, name, this.#run);
    const removed = await opened.value.remove();
    // Whether another backend is better is asked anew.
    opened.value[Symbol.dispose]();
    this.#wireguard = undefined;
    if (!removed.ok) return removed;
    // The interface goes in any case; resolved has forgotten it with the interface.
    const isForgotten = asked.ok || names.kind === "resolvectl";
    return success({ names: isForgotten ? undefined : namesFailure(asked.failure) });
  }

  /** An interface without a key was made and not yet set: by us, or it does not matter. */
  #isOthers(publicKey: string | undefined): boolean {
    return publicKey !== undefined && publicKey !== this.#options.key.publicKey;
  }

  #nameTaken(by: string): { ok: false; failure: Failure } {
    return failed("tunnel.name-taken", { interface: this.#options.name, by });
  }
}

/** The shortest time that ping takes from everybody. */
const echoEveryMs = 200;

/** ping(8) counts its life in whole seconds; what is shorter is so many echoes and a wait for the last. */
const questionLimits = {
  long: ["-c", "1", "-w", "1"],
  short: ["-c", "3", "-W", "0.1"],
} as const satisfies Record<Question, readonly string[]>;

/** Of `3 packets transmitted, 1 received …` and `rtt min/avg/max/mdev = 30.2/31.5/…`. */
function answerIn(summary: string, question: Question): Echo {
  const [, sent = 1, received = 1] = (/^(\d+) packets transmitted, (\d+) received/m.exec(summary) ?? []).map(
    Number,
  );
  const rttMs = Number(/= [\d.]+\/([\d.]+)\//.exec(summary)?.[1] ?? 0);
  switch (question) {
    case "short":
      return { is: "answered", lost: sent - received, rttMs };
    case "long": {
      // Those sent before the one that was answered, and were not while it was on its way.
      const lost = Math.max(0, sent - 1 - Math.floor(rttMs / echoEveryMs));
      return { is: "answered", lost, rttMs };
    }
  }
}

function asTunnelFailure(failure: Failure): Failure {
  if (failure.code === "tunnel.name-taken") return failure;
  return new Failure(isNameTaken(failure) ? "tunnel.name-taken" : "tunnel.failing", failure.facts, failure);
}

function isNameTaken({ code, facts }: Failure): boolean {
  return code === "tunnel.name-taken" || String(facts.error).includes("is not WireGuard");
}

function hasNoSocket({ facts }: Failure): boolean {
  return facts.error === "ENOENT" || facts.error === "ECONNREFUSED";
}

function namesFailure(failure: Failure): Failure {
  return new Failure("tunnel.names-failing", failure.facts, failure);
}
