import type { CoreSettings } from "../../controller/core/settings.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, withConnector } from "./peers.ts";

export type Instance = ReturnType<typeof activeInstance>;
export type Device = ReturnType<typeof attachedDevice>;

/** So many instances with so many devices, all attached, held and with a path that works. */
export function group(instances: number, devices: number, settings: Partial<CoreSettings> = {}, free = 16) {
  // Nobody pings here.
  const patient = { heartbeatMs: { agent: 60_000, device: 60_000 }, silentHeartbeats: 10 };
  const h = new Harness({ ...patient, ...settings });
  withConnector(h);
  const all = Array.from({ length: instances }, () => activeInstance(h, free));
  const users = Array.from({ length: devices }, (_, i) => attachedDevice(h, `u${i}`));
  for (const user of users) takes(user, "alive");
  return { h, all, users };
}

/** The device holds what it was told, and says how that works. */
export function takes({ device }: Device, verdict?: "alive" | "dead"): void {
  const { attachment } = device;
  if (attachment?.state !== "attached") throw new Error("nothing to hold");
  const { session, epoch, instance, ipv4 } = attachment;
  const path = verdict === undefined ? {} : { path: { session, epoch, instance, verdict, sinceMs: 1 } };
  device.report({ held: { session, epoch, instance, ipv4 }, ...path });
}

export const says = takes;
export const cut = (h: Harness, link: number) => {
  h.onMessage.delete(link);
  h.post({ kind: "disconnected", link });
};
export const on = (h: Harness, { name }: Instance, users: readonly Device[]) =>
  users.filter(({ id }) => h.views.device(id)?.session?.instance === name);
/** The first of them. */
export const oneOn = (h: Harness, instance: Instance, users: readonly Device[]): Device => {
  const [one] = on(h, instance, users);
  if (one === undefined) throw new Error(`nobody is on ${instance.name}`);
  return one;
};
export const placesOf = (h: Harness, users: readonly Device[]) =>
  users.map(({ id }) => {
    const session = h.views.device(id)?.session;
    return `${session?.instance} ${session?.epoch}`;
  });
export const two = <T>(list: readonly T[]): [T, T] => {
  const [a, b] = list;
  if (a === undefined || b === undefined) throw new Error("two");
  return [a, b];
};
export const movesOf = (h: Harness) => h.store.audit.filter(({ action }) => action === "sessions.move");
