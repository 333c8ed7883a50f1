import { setTimeout as sleep } from "node:timers/promises";
import { failed, type Result, success } from "../../protocol/failures.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { makeFolder, storageFailure } from "../../protocol/node/files.ts";
import type { KeyPair } from "../../protocol/node/keys.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Clock } from "../../protocol/time.ts";
import { instanceEnd, instanceInterface, internetPathMtu } from "../../protocol/tunnel.ts";
import { firewallOf, type TunnelEnd } from "../core/firewall.ts";
import { learnedForMs } from "../core/firewall-learned.ts";
import type { DataPath, DataPathPlan, DataPathState, SessionTraffic } from "../core/ports.ts";
import { tunnelAddresses, tunnelPlan } from "../core/tunnel.ts";
import { departedFrom, type Owners, ownersIn, regroupedFrom, stayingIn } from "../core/tunnel-owners.ts";
import { forgetConnections } from "./conntrack.ts";
import { Departed } from "./departed.ts";
import { Nft } from "./nft.ts";
import { NftMonitor } from "./nft-monitor.ts";
import { NftTable } from "./nft-table.ts";
import { Resolver } from "./resolver.ts";
import { Tunnel, type TunnelState } from "./wireguard.ts";

export interface LinuxDataPathOptions {
  /** The instance's WireGuard key; undefined before there is an identity. */
  readonly key: () => KeyPair | undefined;
  readonly listenPort: number;
  /** The resolver's files, and texts on their way to nft. Only the agent may write there. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Something changed by itself: the plan should be compared soon. */
  readonly onNews: () => void;
}

/** So long a change that was begun is waited for at the end: a program that hangs does not hold up a restart for longer. */
const endsWithinMs = 5_000;

const tunnelSettings = {
  addresses: [`${instanceEnd.ipv4}/32`, `${instanceEnd.ipv6}/128`],
  pathMtu: internetPathMtu,
};

/**
 * The kernel's data path, and the two programs that are part of it: WireGuard, routes, table `inet connector`, connections
 * and dnsmasq. One thing is done at a time. Disposing leaves all of it carrying traffic; the next process adopts it.
 */
export class LinuxDataPath implements DataPath, AsyncDisposable {
  readonly #options: LinuxDataPathOptions;
  readonly #end: TunnelEnd;
  readonly #run = commandRunner();
  readonly #nft: Nft;
  readonly #monitor: NftMonitor;
  readonly #table: NftTable;
  readonly #resolver: Resolver;
  readonly #ageing: NodeJS.Timeout;
  #tunnel: Tunnel | undefined;
  /** This host's nft can be used. */
  #isUsable = false;
  #plan: DataPathPlan | undefined;
  /** Who is in the tunnel: at first, whom an earlier process left there. BOUNDED: two addresses per session. */
  #owners: Owners = new Map();
  readonly #departed: Departed;
  #toldResolver: string | undefined;
  /** What happened to the tunnel by itself since the last comparison. */
  #renewed = false;
  /** Who else has changed our table since the last comparison. */
  #changedBy: string | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LinuxDataPathOptions) {
    const { folder, log } = options;
    this.#options = options;
    this.#end = { interface: instanceInterface, ...instanceEnd, port: options.listenPort };
    this.#monitor = new NftMonitor({ log, onChange: (by) => this.#tableChanged(by) });
    this.#nft = new Nft({ run: this.#run, folder, onChange: (pid) => this.#monitor.own(pid) });
    this.#table = new NftTable({ nft: this.#nft, log });
    this.#resolver = new Resolver({ folder, log, onChange: options.onNews });
    this.#departed = new Departed((addresses) => forgetConnections(this.#run, addresses), log);
    this.#ageing = setInterval(() => void this.#age(), learnedForMs).unref();
  }

  apply(plan: DataPathPlan): Promise<Result<DataPathState>> {
    return this.#inTurn(() => this.#apply(plan));
  }

  compare(): Promise<Result<DataPathState>> {
    return this.#inTurn(() => this.#compare());
  }

  async traffic(): Promise<Result<ReadonlyMap<string, SessionTraffic>>> {
    const isNews = this.#resolver.problem?.message !== this.#toldResolver;
    if (isNews && this.#plan !== undefined) this.#options.onNews();
    if (this.#tunnel === undefined || this.#plan === undefined) {
      return failed("datapath.failing", { error: "nothing was applied yet" });
    }
    return this.#tunnel.traffic();
  }

  /** What was begun is done first: half of it would meet who takes the data path over, or away. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ageing);
    this.#departed[Symbol.dispose]();
    this.#monitor[Symbol.dispose]();
    const done = Promise.all([this.#turn, this.#resolver[Symbol.asyncDispose]()]);
    await Promise.race([done, sleep(endsWithinMs, undefined, { ref: false })]);
    this.#tunnel?.[Symbol.dispose]();
  }

  /**
   * Those who left are cut off first, whatever becomes of the rest; for those who come, rules are in place before their
   * peers are.
   */
  async #apply(plan: DataPathPlan): Promise<Result<DataPathState>> {
    const tunnel = await this.#open();
    if (!tunnel.ok) return tunnel;
    const cut = await this.#cutDeparted(plan, tunnel.value);
    if (!cut.ok) return cut;
    const guarded = await this.#guard(plan);
    if (!guarded.ok) return guarded;
    const tunnelled = await tunnel.value.apply(tunnelPlan(plan, tunnelSettings));
    if (!tunnelled.ok) return tunnelled;
    this.#departed.add(regroupedFrom(this.#owners, plan));
    this.#owners = ownersIn(plan);
    this.#plan = plan;
    // After the table: dnsmasq fills sets that must be there. Packets do not need it: its failure is told in the state.
    await this.#resolver.apply({ ...plan, tunnel: endOf(plan, this.#end) });
    return success(this.#state(tunnelled.value, []));
  }

  /** Takes away the peers of before that the plan has no more, and adds none. */
  async #cutDeparted(plan: DataPathPlan, tunnel: Tunnel): Promise<Result<void>> {
    const departed = departedFrom(this.#owners, plan);
    if (departed.length === 0) return success(undefined);
    const staying = stayingIn(this.#owners, plan);
    const cut = await tunnel.apply(tunnelPlan(staying, tunnelSettings));
    if (!cut.ok) return cut;
    this.#owners = ownersIn(staying);
    this.#departed.add(departed);
    return success(undefined);
  }

  async #guard(plan: DataPathPlan): Promise<Result<void>> {
    try {
      makeFolder(this.#options.folder);
    } catch (error) {
      return { ok: false, failure: storageFailure(error, this.#options.folder) };
    }
    if (!this.#isUsable) {
      const usable = await this.#nft.version();
      if (!usable.ok) return usable;
      this.#isUsable = true;
    }
    return this.#table.apply(firewallOf(plan, this.#end));
  }

  async #open(): Promise<Result<Tunnel>> {
    if (this.#tunnel !== undefined) return success(this.#tunnel);
    const { key: keyOf, listenPort, clock, log, onNews } = this.#options;
    const key = keyOf();
    if (key === undefined) return failed("datapath.failing", { error: "the instance has no key yet" });
    const onRenewed = () => {
      this.#renewed = true;
      onNews();
    };
    const opened = await Tunnel.open({ name: instanceInterface, key, listenPort, clock, log, onRenewed });
    if (!opened.ok) return opened;
    log.info({ interface: instanceInterface, backend: opened.value.backend }, "the tunnel is WireGuard's");
    this.#tunnel = opened.value;
    this.#owners = await opened.value.holders();
    return opened;
  }

  async #compare(): Promise<Result<DataPathState>> {
    if (this.#tunnel === undefined) return failed("datapath.failing", { error: "nothing was applied yet" });
    const tunnel = await this.#tunnel.compare();
    if (!tunnel.ok) return tunnel;
    const table = await this.#table.drift();
    if (!table.ok) return table;
    const renewed = this.#renewed ? [`interface ${instanceInterface} was lost, and made anew`] : [];
    const by = this.#changedBy === undefined || table.value.length === 0 ? [] : [`by ${this.#changedBy}`];
    this.#renewed = false;
    this.#changedBy = undefined;
    return success(this.#state(tunnel.value, [...renewed, ...table.value, ...by]));
  }

  #tableChanged(by: string): void {
    this.#changedBy = by;
    if (this.#plan !== undefined) this.#options.onNews();
  }

  #state({ routes, peers, drift }: TunnelState, more: readonly string[]): DataPathState {
    const { problem: resolver, silent } = this.#resolver;
    this.#toldResolver = resolver?.message;
    return { routes, peers, drift: [...drift, ...more], resolver, silent, lingering: this.#departed.problem };
  }

  async #age(): Promise<void> {
    const aged = await this.#inTurn(() => this.#table.age());
    if (!aged.ok) this.#options.log.warn({ ...aged.failure.facts }, "learned addresses could not be aged");
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Where the tunnel has addresses under this plan. */
function endOf(plan: DataPathPlan, end: TunnelEnd): TunnelEnd {
  const hasIpv6 = tunnelAddresses(plan, tunnelSettings).some((address) => address.includes(":"));
  return { ...end, ipv6: hasIpv6 ? end.ipv6 : undefined };
}
