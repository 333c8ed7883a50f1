import type { AdminCommand, InstancePools } from "../../controller/core/admin.ts";
import type { DeviceRow, InstanceRow } from "../../controller/core/rows.ts";
import { Agenda } from "./agenda.ts";
import { ControllerHost } from "./controller-host.ts";
import { DeviceHost } from "./device-host.ts";
import { InstanceHost } from "./instance-host.ts";
import { Network } from "./network.ts";
import { hash, Random } from "./random.ts";
import { poolsOf, type Shape } from "./shape.ts";
import { Watchers } from "./watchers.ts";

/** What the operator wants of one instance. */
export interface Wish {
  pools: InstancePools;
  isDrained: boolean;
}

/** One connector with its hosts. Everything in it is drawn from the seed, and time is the agenda's. */
export class World {
  readonly shape: Shape;
  readonly agenda = new Agenda();
  readonly watchers: Watchers;
  readonly controller: ControllerHost;
  readonly instances: readonly InstanceHost[];
  readonly devices: readonly DeviceHost[];
  readonly network: Network;
  readonly wishes: readonly Wish[];
  /** From then on nothing goes wrong any more. */
  isHealed = false;
  /** Of everything that was said, and when. */
  digest = 0x811c9dc5;
  /** What happened last, when somebody wants to read it. */
  readonly trace: string[] | undefined;
  /** The password each instance was last brought. */
  readonly passwords = new Map<InstanceHost, string>();
  #marks = 0;
  readonly #otpGivenAtMs = new Map<InstanceHost, number>();

  constructor(shape: Shape, isTraced = false) {
    this.shape = shape;
    this.trace = isTraced ? [] : undefined;
    const random = new Random(shape.seed).fork("world");
    const { agenda } = this;
    const { delayMs, loss, coolDownMs } = shape;
    const watchers = new Watchers(this);
    this.watchers = watchers;
    this.network = new Network({ agenda, random: random.fork("network"), tap: watchers.wire, delayMs });
    const { network } = this;
    this.controller = new ControllerHost({
      ...{ agenda, random: random.fork("controller"), network, settings: {}, watcher: watchers.controller },
    });
    this.instances = numbers(shape.instances).map((number) => {
      const options = { agenda, random: random.fork(`instance ${number}`), network, coolDownMs };
      return new InstanceHost(number, { ...options, watcher: watchers.instance });
    });
    this.devices = numbers(shape.devices).map((number) => {
      const options = { agenda, random: random.fork(`device ${number}`), network, loss, delayMs };
      const find = (endpoint: string) => this.#byEndpoint(endpoint)?.kernel;
      return new DeviceHost(number, { ...options, find, onHold: watchers.onHold });
    });
    this.wishes = numbers(shape.instances).map((number) => ({
      ...{ pools: poolsOf(shape, number).pools, isDrained: false },
    }));
  }

  /** Everybody starts, and an operator sets the group up. */
  start(): void {
    const { controller, shape } = this;
    controller.start();
    for (const [i, host] of this.instances.entries()) {
      host.assign(poolsOf(shape, i + 1).prefixes, 0);
      host.start();
    }
    for (const host of this.devices) host.start();
    this.operate();
    this.#operateEvery(1_000);
  }

  note(text: () => string): void {
    if (this.trace === undefined) return;
    this.trace.push(`${(this.agenda.nowMs / 1_000).toFixed(3)} ${text()}`);
    if (this.trace.length > 200_000) this.trace.splice(0, 100_000);
  }

  stamp(text: string): void {
    this.digest = hash(text, hash(String(this.agenda.nowMs), this.digest));
  }

  rowOf(host: InstanceHost): InstanceRow | undefined {
    return this.controller.tables.all("instance").find((row) => row.identityKey === host.identityKey);
  }

  deviceRowOf(host: DeviceHost): DeviceRow | undefined {
    return this.controller.tables.all("device").find((row) => row.identityKey === host.identityKey);
  }

  hostOf(instance: string): InstanceHost | undefined {
    const row = this.controller.tables.get("instance", instance);
    return this.instances.find((host) => host.identityKey === row?.identityKey);
  }

  hostOfDevice(device: string): DeviceHost | undefined {
    const row = this.controller.tables.get("device", device);
    return this.devices.find((host) => host.identityKey === row?.identityKey);
  }

  command(command: AdminCommand, then: (value: unknown) => void = () => {}): void {
    this.note(() => `operator: ${JSON.stringify(command)}`);
    this.stamp(JSON.stringify(command));
    this.controller.ask(command, (result) => {
      if (result.ok) then(result.value);
    });
  }

  /** Brings the group to what the operator wants, as far as it is not. */
  operate(): void {
    const { tables } = this.controller;
    if (this.controller.process === undefined) return;
    const { groups } = this.shape;
    const missing = groups.filter((group) => tables.get("group", group) === undefined);
    for (const group of missing) this.command({ command: "group.create", group });
    if (tables.get("connector", "prod") === undefined) {
      this.command({ command: "connector.create", connector: this.#connector() });
      return;
    }
    for (const [i, host] of this.instances.entries()) this.#operateInstance(host, this.wishes[i]);
    for (const host of this.devices) this.#operateDevice(host);
  }

  groupPools(leaseMinutes: number) {
    return this.shape.groups.map((group) => ({ group, pool: `pool of ${group}`, leaseMinutes }));
  }

  /** A password, where it is to be found at the next look. */
  giveOtp(host: InstanceHost, secret: string): void {
    this.#marks += 1;
    this.#otpGivenAtMs.set(host, this.agenda.nowMs);
    host.disk.otp = { mark: `mark ${this.#marks}`, text: secret };
  }

  /** An operator who reads what the instance says brings another, and gives it time to be tried. */
  #isToReplaceOtp(host: InstanceHost): boolean {
    const sinceMs = this.agenda.nowMs - (this.#otpGivenAtMs.get(host) ?? 0);
    if (!this.isHealed || sinceMs < 20_000) return false;
    const conditions = host.agent?.views(() => host.now).status().conditions ?? [];
    return conditions.some(({ code }) => /^otp\.(unknown|used|revoked)$/.test(code));
  }

  #operateEvery(ms: number): void {
    this.agenda.after(ms, () => {
      this.operate();
      this.watchers.service.look();
      this.watchers.links.look();
      this.watchers.leases.look();
      this.watchers.epochs.look();
      this.#operateEvery(ms);
    });
  }

  #operateInstance(host: InstanceHost, wish: Wish | undefined): void {
    const row = this.rowOf(host);
    const { identity } = host.disk;
    // Who was let in and did not hear of it needs its password, or another one where that was taken away.
    const isIn = identity.is === "saved" && identity.record.enrolment !== undefined;
    if (row === undefined || (!isIn && host.disk.otp === undefined)) {
      if (host.disk.otp !== undefined && !this.#isToReplaceOtp(host)) return;
      host.disk.otp = undefined;
      this.command({ command: "otp.create", connector: "prod", lifeMinutes: 1440 }, (value) => {
        if (host.disk.otp !== undefined) return;
        const { secret } = value as { secret: string };
        this.passwords.set(host, secret);
        this.giveOtp(host, secret);
      });
      return;
    }
    if (wish === undefined) return;
    const { name: instance } = row;
    const wanted = Object.entries(wish.pools).filter(([, { ipv4, ipv6 }]) => ipv4.length + ipv6.length > 0);
    if (JSON.stringify(Object.entries(row.pools)) !== JSON.stringify(wanted)) {
      this.command({ command: "instance.pools.set", instance, pools: wish.pools });
    }
    const isDrained = row.drainSinceMs !== null;
    if (isDrained === wish.isDrained) return;
    this.command({ command: wish.isDrained ? "instance.drain" : "instance.resume", instance });
  }

  #operateDevice(host: DeviceHost): void {
    const isIn = this.deviceRowOf(host) !== undefined;
    // Who was let in and did not hear of it needs another code where the one it has was taken away.
    const isShutOut = host.device?.linkState.kind === "stopped" && host.saved.standing.is === "uninvited";
    if (isIn ? isShutOut : host.code === undefined) this.invite(host);
  }

  invite(host: DeviceHost): void {
    const { groups } = this.shape;
    const group = groups[this.devices.indexOf(host) % groups.length] ?? "staff";
    const { user } = host;
    this.command({ command: "deviceCode.create", user, group, lifeMinutes: 1440 }, (value) => {
      host.invite((value as { secret: string }).secret);
    });
  }

  #connector() {
    const { mode } = this.shape;
    return {
      ...{ name: "prod", hosting: "aws", mode, region: "us-east-1", dns: { primary: "10.0.0.2" } },
      groups: this.groupPools(this.shape.leaseMinutes),
      ...{ resources: [], networks: [], ipv6PoolMatch: "within", accounts: [], vpc: null },
      userIpManagement: "static-ip-pool",
    } as const satisfies Extract<AdminCommand, { command: "connector.create" }>["connector"];
  }

  #byEndpoint(endpoint: string): InstanceHost | undefined {
    return this.instances.find((host) => endpoint === `${host.address}:51820`);
  }
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}
