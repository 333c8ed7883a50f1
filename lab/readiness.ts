import type { DeviceView, InstanceView } from "../controller/core/views.ts";

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
  readonly devices: readonly { readonly process: { readonly name: string } }[];
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
    ...wanted.devices.map(({ process }) => ({
      process: process.name,
      text: whyDetached(process.name, deviceByName.get(process.name)),
    })),
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
