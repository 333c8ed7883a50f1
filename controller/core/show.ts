import type { Instant } from "../../protocol/time.ts";
import type { InstanceStatus } from "../../protocol/view.ts";
import { roleOf } from "./carrier.ts";
import { instancesMax } from "./decide-connector.ts";
import type { DeviceFacts, Fleet, InstanceFacts } from "./fleet.ts";
import type { Judge } from "./judge.ts";
import { type Model, servesPool } from "./model.ts";
import type { RestartView } from "./restart-views.ts";
import type { ConnectorRow, DeviceRow, InstanceRow, SessionRow } from "./rows.ts";
import { deviceCodeView, groupView, otpView, tokenView } from "./show-access.ts";
import { carrierView } from "./show-carrier.ts";
import { judgementView } from "./show-judgement.ts";
import { drainView, restartSummary, restartView, type Shown } from "./show-restart.ts";
import { waitingViews } from "./show-waiting.ts";
import type {
  ConnectorView,
  ControllerViews,
  DeviceCodeView,
  DeviceView,
  GroupView,
  InstanceView,
  OtpView,
  Page,
  PathView,
  SessionFilter,
  SessionView,
  TokenView,
  WaitingView,
} from "./views.ts";
import { pageLimits } from "./views.ts";

/** What is shown, derived from the model and the reports at the moment of asking. */
export class Views implements ControllerViews {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #judge: Judge;
  readonly #shown: Shown;
  readonly #now: () => Instant;

  constructor(shown: Shown, now: () => Instant) {
    this.#shown = shown;
    this.#model = shown.model;
    this.#fleet = shown.fleet;
    this.#judge = shown.judge;
    this.#now = now;
  }

  connectors(): ConnectorView[] {
    const waiting = waitingViews(this.#model);
    return [...this.#model.connectors.values()].map((row) => this.#connector(row, waiting));
  }

  connector(name: string): ConnectorView | undefined {
    const row = this.#model.connectors.get(name);
    return row && this.#connector(row, waitingViews(this.#model));
  }

  restart(connector: string): RestartView | undefined {
    const row = this.#model.restarts.get(connector);
    return row && restartView(row, this.#shown, this.#now());
  }

  groups(): GroupView[] {
    return [...this.#model.groups.values()].map((row) => groupView(row, this.#model));
  }

  instances(connector?: string): InstanceView[] {
    const { instances } = this.#model;
    const rows = connector === undefined ? [...instances.values()] : this.#model.instancesOf(connector);
    return rows.map((row) => this.#instance(row)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  instance(name: string): InstanceView | undefined {
    const row = this.#model.instanceByName.get(name);
    return row && this.#instance(row);
  }

  otps(connector?: string): OtpView[] {
    const rows = [...this.#model.otps.values()];
    const wanted = connector === undefined ? rows : rows.filter((row) => row.connector === connector);
    return wanted.map((row) => otpView(row, this.#now().wallMs));
  }

  deviceCodes(): DeviceCodeView[] {
    return [...this.#model.deviceCodes.values()].map((row) => deviceCodeView(row, this.#now().wallMs));
  }

  devices(page?: Page): DeviceView[] {
    return pageOf(this.#model.devices.values(), page).map((row) => this.#device(row));
  }

  device(id: string): DeviceView | undefined {
    const row = this.#model.devices.get(id);
    return row && this.#device(row);
  }

  sessions({ instance: name, state }: SessionFilter = {}, page?: Page): SessionView[] {
    const isMeant = ({ place }: SessionRow) => state === undefined || place.is === state;
    return pageOf(this.#sessionsOn(name), page, isMeant).flatMap((row) => this.#session(row) ?? []);
  }

  session(id: string): SessionView | undefined {
    const row = this.#model.sessions.get(id);
    return row && this.#session(row);
  }

  tokens(): TokenView[] {
    return [...this.#model.tokens.values()].map(tokenView);
  }

  #sessionsOn(name: string | undefined): Iterable<SessionRow> {
    if (name === undefined) return this.#model.sessions.values();
    const instance = this.#model.instanceByName.get(name);
    const ids = instance === undefined ? [] : [...this.#model.sessionsOn(instance.id)];
    return ids.flatMap((id) => this.#model.sessions.get(id) ?? []);
  }

  #connector(row: ConnectorRow, waiting: readonly WaitingView[]): ConnectorView {
    const instances = this.#model.instancesOf(row.name);
    const statuses = instances.map(({ id }) => statusOf(this.#fleet.instance(id)));
    const { groups, resources, networks, accounts, ...rest } = row;
    const restart = this.#model.restarts.get(row.name);
    return {
      ...rest,
      groups: [...groups],
      resources: [...resources],
      networks: [...networks],
      accounts: [...accounts],
      userIpManagement: "static-ip-pool",
      status: bestOf(statuses),
      instances: instances.length,
      activeInstances: statuses.filter((status) => status === "Active").length,
      instancesMax: instancesMax[row.mode],
      sessions: instances.reduce((sum, { id }) => sum + this.#model.sessionsOn(id).size, 0),
      carrier: carrierView(row, this.#model),
      waiting: waiting.filter(({ group }) => this.#model.serviceOf.get(group)?.connector === row.name),
      restart: restart === undefined ? null : restartSummary(restart),
    };
  }

  #instance(row: InstanceRow): InstanceView {
    const facts = this.#fleet.instance(row.id);
    const report = facts?.report;
    const { ec2InstanceId, identityKey: _, wireguardKey: __, drainSinceMs, pools: ___, ...rest } = row;
    const groups = this.#model.connectors.get(row.connector)?.groups ?? [];
    const sessions = this.#model.sessionsOn(row.id).size;
    return {
      ...rest,
      providerInstanceId: ec2InstanceId,
      vpcCidrs: [...row.vpcCidrs],
      status: statusOf(facts),
      managementIp: report?.managementIp ?? row.managementIp,
      activeAgents: report?.activeAgents ?? 0,
      userGroupAssociations: groups
        .filter(({ pool }) => servesPool(row, pool))
        .map(({ group, pool }) => ({ group, pool })),
      version: report?.version ?? null,
      upSinceMs: report?.upSinceMs ?? null,
      process: report?.process ?? null,
      linkUpSinceMs: facts?.link?.since.wallMs ?? null,
      lastSeenMs: facts?.link === undefined ? (facts?.heard?.wallMs ?? null) : this.#now().wallMs,
      drain: drainSinceMs !== null,
      draining: drainView(row, this.#shown, this.#now()),
      pools: groups.map(({ pool, group, leaseMinutes }) => ({
        pool,
        group,
        leaseMinutes,
        ipv4: [...(row.pools[pool]?.ipv4 ?? [])],
        ipv6: [...(row.pools[pool]?.ipv6 ?? [])],
        reported: facts?.pools.get(pool) ?? null,
      })),
      prefixes: prefixesOf(facts),
      sessions,
      judgement: judgementView(row.id, this.#model, this.#judge, this.#now()),
      role: roleOf(row, this.#model) ?? null,
      conditions: report?.conditions ?? [],
    };
  }

  #device(row: DeviceRow): DeviceView {
    const { id, name, user, group, joinedAtMs } = row;
    const held = this.#model.sessionByDevice.get(id);
    const session = held && this.#session(held);
    const facts = this.#fleet.device(id);
    return {
      id,
      name,
      user,
      group,
      joinedAtMs,
      ...shownOf(facts, this.#now()),
      session: session ?? null,
      path: session === undefined ? null : pathOf(facts, session),
    };
  }

  #session({ id, epoch, place, leaving, device: deviceId }: SessionRow): SessionView | undefined {
    const device = this.#model.devices.get(deviceId);
    if (device === undefined) return undefined;
    const instance = place.is === "waiting" ? undefined : this.#model.instances.get(place.instance);
    const { name: deviceName, user, group } = device;
    return {
      id,
      epoch,
      state: place.is,
      code: place.is === "waiting" ? place.code : null,
      device: deviceId,
      deviceName,
      user,
      group,
      connector: instance?.connector ?? this.#model.serviceOf.get(group)?.connector ?? null,
      instance: instance?.name ?? null,
      pool: place.is === "waiting" ? null : place.pool,
      ipv4: (place.is === "attached" ? place.ipv4 : undefined) ?? null,
      ipv6: (place.is === "attached" ? place.ipv6 : undefined) ?? null,
      leaving: leaving && {
        instance: this.#model.instances.get(leaving.instance)?.name ?? leaving.instance,
        epoch: leaving.epoch,
      },
    };
  }
}

/** An instance is what it says it is, as long as it is there to say it. */
export function statusOf(facts: InstanceFacts | undefined): InstanceStatus {
  if (facts?.link === undefined) return "Offline";
  return facts.report?.status ?? "Online";
}

function prefixesOf(facts: InstanceFacts | undefined): InstanceView["prefixes"] {
  if (facts?.prefixes === undefined) return null;
  const { ipv4, ipv6, readAtMs } = facts.prefixes;
  return { ipv4, ipv6, readAtMs };
}

function bestOf(statuses: readonly InstanceStatus[]): InstanceStatus {
  const order = ["Active", "Draining", "Online", "Offline"] as const;
  return order.find((status) => statuses.includes(status)) ?? "Configured";
}

function shownOf(facts: DeviceFacts | undefined, now: Instant) {
  return {
    connected: facts?.link !== undefined,
    lastSeenMs: facts?.link === undefined ? (facts?.heard?.wallMs ?? null) : now.wallMs,
    publicIp: facts?.address ?? null,
    hostOs: facts?.report?.hostOs ?? null,
    version: facts?.report?.version ?? null,
  };
}

/** A word about an earlier epoch is about a path that the session has left, and one about another instance is a lie. */
function pathOf(facts: DeviceFacts | undefined, { id, epoch, instance }: SessionView): PathView | null {
  const path = facts?.path;
  if (path === undefined || path.session !== id || path.epoch !== epoch) return null;
  return path.instance === instance ? { instance, verdict: path.verdict, sinceMs: path.sinceMs } : null;
}

/** The rows after a key, in the order in which they came to be. */
function pageOf<Row extends { readonly id: string }>(
  rows: Iterable<Row>,
  page: Page = {},
  isMeant: (row: Row) => boolean = () => true,
): Row[] {
  const limit = Math.min(page.limit ?? pageLimits.byDefault, pageLimits.max);
  const found: Row[] = [];
  let isAfter = page.after === undefined;
  for (const row of rows) {
    if (found.length === limit) break;
    if (!isAfter) isAfter = row.id === page.after;
    else if (isMeant(row)) found.push(row);
  }
  return found;
}
