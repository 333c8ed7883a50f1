import type { SessionPlace } from "../../controller/core/rows.ts";
import type { DeviceHost } from "./device-host.ts";
import type { InstanceHost } from "./instance-host.ts";
import { isIn } from "./table-watch.ts";
import type { World } from "./world.ts";

type Attached = Extract<SessionPlace, { is: "attached" }>;

/** A quiet path is asked every two seconds. */
const freshMs = 2_500;
/** For how long a change of the prefixes, a lie about them, or a word of the user may have its consequences. */
export const consequencesMs = 60_000;

/**
 * Whether the device's traffic goes by this instance now, both ways, with the session's addresses, and nothing outside the
 * controller gives a reason to change that: the truth, not what anybody believes.
 */
export function isCarrying(
  { agenda, controller }: World,
  device: DeviceHost,
  instance: InstanceHost,
  { ipv4, ipv6 }: Pick<Attached, "ipv4" | "ipv6">,
): boolean {
  const { answered } = device.kernel;
  if (answered === undefined || answered.by !== instance.kernel.publicKey) return false;
  if (agenda.nowMs - answered.atMs > freshMs || device.kernel.carrier() !== instance.kernel) return false;
  const held = instance.kernel.peers.get(device.kernel.publicKey);
  if (held?.ipv4 !== ipv4 || held?.ipv6 !== ipv6) return false;
  const addresses = [ipv4, ipv6].filter((address) => address !== undefined);
  const isRouted = addresses.every((address) => instance.prefixes.some((prefix) => isIn(prefix, address)));
  const isDoubted = agenda.nowMs - instance.doubtedAtMs < consequencesMs;
  const isTurning = device.wants === "detached" || agenda.nowMs - device.turnedAtMs < consequencesMs;
  // Who was moved since the backup was made is asked to move again.
  const isForgotten = agenda.nowMs - controller.restoredAtMs < consequencesMs;
  return isRouted && !isDoubted && !isTurning && !isForgotten;
}
