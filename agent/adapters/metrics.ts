import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { FailureCode } from "../../protocol/failures.ts";
import { DrainReason } from "../../protocol/specs.ts";
import { InstanceStatus, type PoolCounts, type SessionView } from "../../protocol/view.ts";
import type { AgentViews } from "../core/ports.ts";
import { TrafficTotals } from "./traffic-totals.ts";

/**
 * What Prometheus reads: gauges taken from the views at the moment of the scrape, so they never disagree with the CLI,
 * and counters of what happened, which no view holds. docs/metrics.md lists them all.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #gauges = gauges(this.#registry);
  readonly #counters = counters(this.#registry);
  readonly #traffic = new TrafficTotals();

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition text. */
  async text(views: AgentViews): Promise<string> {
    this.#read(views);
    return await this.#registry.metrics();
  }

  /** The agent dialled the controller. */
  dialled(): void {
    this.#counters.dials.inc();
  }

  /** A frame of a type that this version does not know came from the controller. */
  ignoredFrame(): void {
    this.#counters.ignored.inc();
  }

  /** The store wrote one transaction, or failed to. */
  committed(rows: number, seconds: number, failure?: FailureCode): void {
    if (failure !== undefined) this.#counters.commitFailures.inc({ code: failure });
    else {
      this.#counters.commits.observe(seconds);
      this.#counters.rows.inc(rows);
    }
  }

  /** The metadata service was read: `known`, or why not. */
  readPrefixes(result: "known" | FailureCode): void {
    this.#counters.readings.inc({ result });
  }

  #read(views: AgentViews): void {
    const status = views.status();
    const g = this.#gauges;
    for (const gauge of Object.values(g)) gauge.reset();
    g.info.set(
      {
        version: status.version,
        name: status.name ?? "",
        connector: status.connector ?? "",
        instance_id: status.instanceId ?? "",
      },
      1,
    );
    for (const name of InstanceStatus.options) g.status.set({ status: name }, flag(status.status === name));
    for (const reason of DrainReason.options) g.drain.set({ reason }, flag(status.drain.includes(reason)));
    g.link.set(flag(status.link.state === "up"));
    g.start.set(status.upSinceMs / 1000);
    g.agents.set(status.activeAgents);
    for (const { code, severity } of status.conditions) g.conditions.inc({ code, severity });
    if (status.prefixesReadAtMs !== undefined) g.prefixesRead.set(status.prefixesReadAtMs / 1000);
    for (const pool of status.pools) {
      for (const state of addressStates) {
        g.addresses.set({ pool: pool.name, group: pool.group, state }, pool[state]);
      }
    }
    for (const row of views.prefixes()) g.prefixes.inc({ verdict: row.verdict });
    for (const state of sessionStates) g.sessions.set({ state }, 0);
    const sessions = views.sessions();
    for (const session of sessions) g.sessions.inc({ state: session.state });
    const { rx, tx } = this.#traffic.take(sessions);
    this.#counters.traffic.inc({ direction: "from_devices" }, rx);
    this.#counters.traffic.inc({ direction: "to_devices" }, tx);
    const { user, system } = process.cpuUsage();
    this.#counters.cpu.reset();
    this.#counters.cpu.inc((user + system) / 1e6);
    g.memory.set(process.memoryUsage.rss());
  }
}

const addressStates = ["leased", "cooling", "quarantined", "free"] as const satisfies (keyof PoolCounts)[];
const sessionStates = ["granting", "granted", "refused", "ended"] as const satisfies SessionView["state"][];

function flag(is: boolean): 0 | 1 {
  return is ? 1 : 0;
}

/** BOUNDED: labels are names of the catalogue, of enumerations, or of the instance's own pools. */
function gauges(registry: Registry) {
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge({ name: `connector_${name}`, help, labelNames, registers: [registry] });
  return {
    info: gauge("instance_info", "Always 1.", "version", "name", "connector", "instance_id"),
    status: gauge("instance_status", "1 for the status the instance has, 0 for the others.", "status"),
    drain: gauge("drain", "1 for each reason why no new sessions are taken.", "reason"),
    link: gauge("link_up", "1 while the controller is connected."),
    start: gauge("start_time_seconds", "When the agent started, Unix time."),
    agents: gauge("active_agents", "Devices heard in the last 180 s."),
    sessions: gauge("sessions", "Sessions by state.", "state"),
    addresses: gauge("pool_addresses", "Addresses of a pool by state.", "pool", "group", "state"),
    prefixes: gauge("prefixes", "Prefixes by verdict: ok, or the code of what is wrong.", "verdict"),
    prefixesRead: gauge("prefixes_read_time_seconds", "When the prefixes were last read, Unix time."),
    conditions: gauge("conditions", "Conditions that hold now.", "code", "severity"),
    memory: gauge("process_resident_memory_bytes", "Resident memory of the agent."),
  };
}

function counters(registry: Registry) {
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name: `connector_${name}`, help, labelNames, registers: [registry] });
  return {
    dials: counter("link_dials_total", "Connections to the controller that were begun."),
    ignored: counter("link_ignored_frames_total", "Frames of a type this version does not know."),
    readings: counter("prefix_readings_total", "Readings of the metadata service by result.", "result"),
    traffic: counter("traffic_bytes_total", "Bytes in the tunnel, summed up at each scrape.", "direction"),
    cpu: counter("process_cpu_seconds_total", "Processor time the agent used."),
    rows: counter("store_rows_total", "Rows written to the store."),
    commitFailures: counter("store_failures_total", "Transactions that failed.", "code"),
    commits: new Histogram({
      name: "connector_store_commit_seconds",
      help: "Time of one store transaction, fsync included.",
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1],
      registers: [registry],
    }),
  };
}
