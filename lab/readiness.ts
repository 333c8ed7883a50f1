import type { DeviceView, InstanceView, SessionView } from "../controller/core/views.ts";
import type { TunnelStatus } from "../device/adapters/tunnel-file.ts";

/** One thing that is missing before the whole lab carries traffic, and the process that should have done it. */
export interface Lack {
  readonly process: string;
  readonly text: string;
}

interface Wanted {
  readonly instances: readonly {
    readonly ec2: { readonly instanceId: string };
    readonly process: { readonly name: string };
  }[];
  readonly devices: readonly {
    readonly process: { readonly name: string };
    /** What the device says of its tunnel, where it has one. */
    readonly tunnel: (() => TunnelStatus | undefined) | undefined;
  }[];
}

/** Compares what was started with what the controller shows. Pure. */
export function lacks(
  wanted: Wanted,
  instances: readonly InstanceView[],
  devices: readonly DeviceView[],
): Lack[] {
  const instanceById = new Map(instances.map((view) => [view.providerInstanceId, view]));
  const deviceByName = new Map(devices.map((view) => [view.name, view]));
  return [
    ...wanted.instances.map(({ ec2, process }) => ({
      process: process.name,
      text: whyInactive(ec2.instanceId, instanceById.get(ec2.instanceId)),
    })),
    ...wanted.devices.map(({ process: { name }, tunnel }) => {
      const view = deviceByName.get(name);
      return { process: name, text: whyDetached(name, view) ?? (tunnel && whyAside(name, view, tunnel())) };
    }),
  ].filter((lack): lack is Lack => lack.text !== undefined);
}

function whyInactive(id: string, view: InstanceView | undefined): string | undefined {
  if (view === undefined) return `instance ${id} has not enrolled`;
  if (view.status === "Active") return undefined;
  const conditions = view.conditions.map(({ code, subject, text }) => {
    return `\n    ${code}${subject === undefined ? "" : ` ${subject}`}: ${text}`;
  });
  return `instance ${view.name} is ${view.status}, not Active${conditions.join("")}`;
}

function whyDetached(name: string, view: DeviceView | undefined): string | undefined {
  if (view === undefined) return `device ${name} has not joined`;
  const { session } = view;
  if (session === null) return `device ${name} has no session`;
  switch (session.state) {
    case "attached":
      return undefined;
    case "placed":
      return `device ${name} waits for a grant of ${session.instance}`;
    case "waiting":
      return `device ${name} waits for an instance: ${session.code}`;
  }
}

function whyAside(
  name: string,
  view: DeviceView | undefined,
  tunnel: TunnelStatus | undefined,
): string | undefined {
  switch (tunnel?.state) {
    case undefined:
      return `device ${name} does not say what its tunnel does`;
    case "off":
      return `device ${name} has its tunnel off${tunnel.why === null ? "" : `: ${tunnel.why}`}`;
    case "on":
      if (isOf(tunnel.path, view?.session)) return undefined;
      return `the tunnel of device ${name} does not carry its session${tunnel.problem === null ? "" : `: ${tunnel.problem.text}`}`;
  }
}

type Path = Extract<TunnelStatus, { state: "on" }>["path"];

function isOf(path: Path, session: SessionView | null | undefined): boolean {
  return path !== null && path.session === session?.id && path.epoch === session.epoch;
}
