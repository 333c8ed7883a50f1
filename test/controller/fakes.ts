import type { LinkId } from "../../controller/core/effects.ts";
import { addressAt, parsePrefix } from "../../protocol/address.ts";
import type { ControllerMessage } from "../../protocol/messages.ts";
import type { Attachment } from "../../protocol/state.ts";
import { StateReceiver, StateSender } from "../../protocol/sync.ts";
import type { Harness } from "./harness.ts";
import type { Ec2 } from "./peers.ts";

/** What a client of the link does for every role: takes state in, acknowledges, says its own. */
class Client {
  readonly desired = new Map<string, unknown>();
  readonly observed = new Map<string, unknown>();
  readonly #receiver = new StateReceiver();
  readonly #sender = new StateSender({
    keys: () => this.observed.keys(),
    get: (name) => this.observed.get(name),
  });
  readonly h: Harness;
  link: LinkId = 0;

  constructor(h: Harness) {
    this.h = h;
  }

  /** Follows a link that is open or about to be; what was already said on it is heard first. */
  on(link: LinkId): this {
    this.link = link;
    this.#receiver.connect();
    this.#sender.connect();
    const hear = (message: ControllerMessage) => this.hear(message);
    for (const message of this.h.sent.get(link) ?? []) hear(message);
    this.h.onMessage.set(link, hear);
    this.flush();
    return this;
  }

  report(entries: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(entries)) {
      if (value === undefined) this.observed.delete(name);
      else this.observed.set(name, value);
      this.#sender.touch(name);
    }
    this.flush();
  }

  flush(): void {
    for (const frame of this.#sender.frames(this.h.monotonicMs))
      this.h.say(this.link, structuredClone(frame));
  }

  protected changed(): void {}

  private hear(message: ControllerMessage): void {
    if (message.type === "ack") {
      this.#sender.acked(message.revision);
      this.flush();
    }
    if (message.type !== "state") return;
    const got = this.#receiver.receive(message);
    if (got.is === "change") {
      if (got.snapshot) this.desired.clear();
      for (const name of got.remove) this.desired.delete(name);
      for (const [name, value] of got.set) this.desired.set(name, value);
      this.changed();
    }
    if (got.is === "change" || got.is === "repeated")
      this.h.say(this.link, { type: "ack", revision: got.ack });
  }
}

/** An agent that grants what it is told as long as it has addresses, and reports like the real one. */
export class FakeAgent extends Client {
  /** Session id to address. */
  readonly granted = new Map<string, { epoch: number; ipv4: string }>();
  isGranting = true;
  /** In place of what it should grant. */
  grantsWrongly: (() => { ipv4?: string; ipv6?: string }) | undefined;
  readonly #free = new Map<string, number>();

  /** Free addresses by pool, as it knows them from its disk before it has a link. */
  offer(pools: Record<string, number>): this {
    for (const [pool, free] of Object.entries(pools)) this.#free.set(pool, free);
    return this;
  }

  become(status: "Online" | "Active" | "Draining", pools: Record<string, number>, ec2: Ec2): void {
    this.offer(pools);
    this.report({
      instance: {
        status,
        conditions: [],
        version: "0.1.0",
        upSinceMs: 1,
        managementIp: ec2.ip,
        activeAgents: this.granted.size,
        endpoint: `${ec2.ip}:51820`,
      },
      ...this.#counts(),
    });
    this.changed();
  }

  get sessions(): number {
    return this.granted.size;
  }

  protected override changed(): void {
    if (!this.isGranting) return;
    const report: Record<string, unknown> = {};
    for (const id of [...this.granted.keys()]) {
      if (this.desired.has(`session/${id}`)) continue;
      this.granted.delete(id);
      report[`session/${id}`] = undefined;
    }
    for (const [name, value] of this.desired) {
      if (!name.startsWith("session/")) continue;
      const id = name.slice("session/".length);
      const { epoch, pool } = value as { epoch: number; pool: string };
      const before = this.granted.get(id);
      if (before?.epoch === epoch) continue;
      if (before !== undefined && this.grantsWrongly === undefined) {
        // Under a higher epoch a session keeps its lease.
        this.granted.set(id, { ...before, epoch });
        report[name] = { outcome: "granted", epoch, ipv4: before.ipv4 };
        continue;
      }
      const free = this.#free.get(pool) ?? 0;
      const ipv4 = this.#address(pool);
      if (free === 0 || ipv4 === undefined) {
        report[name] = { outcome: "refused", epoch, code: "pool.full" };
        continue;
      }
      this.#free.set(pool, free - 1);
      this.granted.set(id, { epoch, ipv4 });
      report[name] = { outcome: "granted", epoch, ...(this.grantsWrongly?.() ?? { ipv4 }) };
    }
    if (Object.keys(report).length > 0) this.report({ ...report, ...this.#counts() });
  }

  /** The first address of the pool's ranges that no session has. */
  #address(pool: string): string | undefined {
    const { ipv4 } = (this.desired.get(`pool/${pool}`) ?? { ipv4: [] }) as { ipv4: string[] };
    const taken = new Set([...this.granted.values()].map((grant) => grant.ipv4));
    return ipv4.flatMap(addressesOf).find((address) => !taken.has(address));
  }

  #counts(): Record<string, unknown> {
    return Object.fromEntries(
      [...this.#free].map(([pool, free]) => [
        `pool/${pool}`,
        { total: free + this.granted.size, leased: this.granted.size, cooling: 0, quarantined: 0, free },
      ]),
    );
  }
}

/** The addresses of a /28, in order. */
export function addressesOf(text: string): string[] {
  const prefix = parsePrefix(text);
  if (!prefix.ok) throw prefix.failure;
  return Array.from({ length: 16 }, (_, offset) => addressAt(prefix.value)(offset));
}

export class FakeDevice extends Client {
  get attachment(): Attachment | undefined {
    return this.desired.get("attachment") as Attachment | undefined;
  }

  /** `probes`: absent in a device that never speaks of paths. */
  wants(what: "attached" | "detached", probes?: boolean): void {
    const also = probes === undefined ? {} : { probes };
    this.report({ device: { wants: what, hostOs: "Debian", version: "0.1.0", ...also } });
  }
}
