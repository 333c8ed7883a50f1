import { userInfo } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Failure } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { domainsOf, type TunnelEnd } from "../core/firewall.ts";
import type { DataPathPlan } from "../core/ports.ts";
import { resolverFiles, serversOf } from "../core/resolver.ts";
import { Dnsmasq, resolverPaths } from "./dnsmasq.ts";
import { NameKeeper } from "./dnsmasq-names.ts";
import { UpstreamWatch } from "./dnsmasq-upstreams.ts";

/** What a plan's resolver is made of: its servers and services, and where the tunnel has addresses to listen at. */
export interface ResolverPlan extends Pick<DataPathPlan, "dns" | "resources"> {
  readonly tunnel: TunnelEnd;
}

/** How long whoever wants a change waits for it. A dnsmasq that hangs holds up names, and nothing else. */
const waitMs = 1_000;

/** The users' resolver: dnsmasq kept at the plan, with the DNS servers that answer asked first and the services' names kept known. */
export class Resolver implements AsyncDisposable {
  readonly #folder: string;
  readonly #dnsmasq: Dnsmasq;
  readonly #upstreams: UpstreamWatch;
  readonly #names: NameKeeper;
  #plan: ResolverPlan | undefined;
  /** Those that dnsmasq was last brought to: it learns of no others. */
  #domains: ReadonlySet<string> = new Set();
  /** The plan has changed since the work that is being done began. */
  #isChanged = false;
  #work: Promise<void> | undefined;

  /** `onChange`: other servers are silent now. */
  constructor(options: { folder: string; log: Logger; onChange: () => void }) {
    const { folder, log, onChange } = options;
    this.#folder = folder;
    this.#dnsmasq = new Dnsmasq({ folder, log });
    this.#upstreams = new UpstreamWatch({
      log,
      onChange: () => {
        this.#begin();
        onChange();
      },
    });
    this.#names = new NameKeeper(() => ({
      names: this.#domains,
      pid: this.#dnsmasq.pid,
      address: this.#plan?.tunnel.ipv4 ?? this.#plan?.tunnel.ipv6,
    }));
  }

  /** Brings it to the plan, and waits for that a while. How it went is in `problem`. */
  async apply(plan: ResolverPlan): Promise<void> {
    this.#plan = plan;
    await Promise.race([this.#begin(), sleep(waitMs, undefined, { ref: false })]);
  }

  /** Why no resolver answers now. */
  get problem(): Failure | undefined {
    return this.#dnsmasq.problem;
  }

  /** The DNS servers that do not answer. */
  get silent(): readonly string[] {
    return [...this.#upstreams.silent];
  }

  /** dnsmasq stays: it answers devices while the agent is away. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#names[Symbol.dispose]();
    this.#upstreams[Symbol.dispose]();
    await this.#dnsmasq[Symbol.asyncDispose]();
  }

  /** One change at a time; what is wanted meanwhile is one more. */
  #begin(): Promise<void> {
    this.#isChanged = true;
    this.#work ??= this.#bring().finally(() => {
      this.#work = undefined;
    });
    return this.#work;
  }

  async #bring(): Promise<void> {
    while (this.#isChanged && this.#plan !== undefined) {
      this.#isChanged = false;
      const { dns, resources, tunnel } = this.#plan;
      this.#upstreams.watch(dns === undefined ? [] : serversOf(dns));
      const { serversFile, pidFile } = resolverPaths(this.#folder);
      const place = { tunnel, serversFile, pidFile, user: ownName() };
      await this.#dnsmasq.apply(dns && resolverFiles(dns, resources.values(), place, this.#upstreams.silent));
      this.#domains = domainsOf(resources.values());
    }
  }
}

/** dnsmasq wants a name that there is. Where this process's user has none, as in a container, it cannot become another anyway. */
function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    return "root";
  }
}
