import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { MetricsFacts } from "../core/admin.ts";

/** What Prometheus reads: facts of the controller, taken at the moment of the scrape, so nothing is counted twice. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #read: (facts: MetricsFacts) => void;

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    const gauges = makeGauges(this.#registry);
    const totals = makeTotals(this.#registry);
    this.#read = (facts) => {
      readGauges(gauges, facts);
      readTotals(totals, facts.totals);
    };
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition text. */
  async text(facts: MetricsFacts): Promise<string> {
    this.#read(facts);
    return await this.#registry.metrics();
  }
}

type Gauges = ReturnType<typeof makeGauges>;
type Totals = ReturnType<typeof makeTotals>;

function makeGauges(registry: Registry) {
  const registers = [registry];
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge({ name: `connector_controller_${name}`, help, labelNames, registers });
  return {
    links: gauge("links", "Open links, by kind of peer; a stranger has not proven yet who it is", ["peer"]),
    instances: gauge("instances", "Instances by status", ["status"]),
    sessions: gauge("sessions", "Sessions by state; those that leave an instance also count in theirs", [
      "state",
    ]),
    waiting: gauge("sessions_waiting", "Sessions without a place, by Device-User-Group and reason", [
      "group",
      "code",
    ]),
    connectors: gauge("connectors", "Connectors"),
    devices: gauge("devices", "Devices that have joined"),
    queued: gauge("queued_decisions", "Decisions that wait for the store"),
  };
}

function readGauges(gauges: Gauges, facts: MetricsFacts): void {
  gauges.links.set({ peer: "agent" }, facts.links.agents);
  gauges.links.set({ peer: "device" }, facts.links.devices);
  gauges.links.set({ peer: "stranger" }, facts.links.strangers);
  for (const [status, count] of Object.entries(facts.instances)) gauges.instances.set({ status }, count);
  for (const [state, count] of Object.entries(facts.sessions)) gauges.sessions.set({ state }, count);
  // A group in which nobody waits any more has no line.
  gauges.waiting.reset();
  for (const { group, code, sessions } of facts.waiting) gauges.waiting.set({ group, code }, sessions);
  gauges.connectors.set(facts.connectors);
  gauges.devices.set(facts.devices);
  gauges.queued.set(facts.queued);
}

function makeTotals(registry: Registry) {
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: `connector_controller_${name}_total`, help, labelNames, registers });
  return {
    placements: counter("placements", "Sessions placed on an instance"),
    enrolments: counter("enrolments", "Instances enrolled"),
    joins: counter("joins", "Devices joined"),
    commands: counter("commands", "Administrators' commands carried out"),
    unknownMessages: counter("unknown_messages", "Frames of a type that this version does not know"),
    storeFailures: counter("store_failures", "Commits that failed"),
    moved: counter("sessions_moved", "Sessions moved to another instance, by reason", ["reason"]),
    refused: counter("refused", "Links and requests refused, by failure code", ["code"]),
  };
}

/** The core counts; a counter is set to what it has counted. */
function readTotals({ moved, refused, ...plain }: Totals, facts: MetricsFacts["totals"]): void {
  for (const [name, counter] of Object.entries(plain)) {
    counter.reset();
    counter.inc(facts[name as keyof typeof plain]);
  }
  moved.reset();
  for (const [reason, count] of Object.entries(facts.moved)) moved.inc({ reason }, count);
  refused.reset();
  for (const [code, count] of Object.entries(facts.refused)) refused.inc({ code }, count);
}
