import { table } from "../protocol/node/table.ts";
import { seenAddress } from "./proof.ts";
import type { DeviceTraffic, TrafficView } from "./traffic.ts";
import type { Told } from "./vpc/questions.ts";

/** Lines of a device: one for each address. */
const linesEach = 2;

/** What flows, in so many lines at most; devices that have no room are counted. Pure. */
export function trafficText({ instances, devices }: TrafficView, width?: number, linesMax?: number): string {
  const above = table(
    [
      { title: "Instance" },
      { title: "Sessions", align: "right" },
      { title: "Active", align: "right" },
      { title: "From Devices", align: "right" },
      { title: "To Devices", align: "right" },
    ],
    instances.map(({ name, sessions, active, rxBytes, txBytes }) => [
      name,
      String(sessions),
      String(active),
      bytes(rxBytes),
      bytes(txBytes),
    ]),
    width,
  );
  // Between the two an empty line, and around the devices their title and their count.
  const room = (linesMax ?? Number.POSITIVE_INFINITY) - above.split("\n").length - 3;
  const shown = devices.slice(0, Math.max(0, Math.floor(room / linesEach)));
  const hidden = devices.length - shown.length;
  const below = table(
    [
      { title: "Device", max: 12 },
      { title: "Instance" },
      { title: "Address" },
      { title: "Web Answers", align: "right", max: 10 },
      { title: "From", align: "right" },
      { title: "To", align: "right" },
    ],
    shown.flatMap(rows),
    width,
  );
  return [above, "", below, ...(hidden === 0 ? [] : [`… and ${hidden} more devices`])].join("\n");
}

function rows(device: DeviceTraffic): string[][] {
  const { name, user, instance, ipv4, ipv6, rxBytes, txBytes, told } = device;
  return [
    [name, shortName(instance), ...heard(told[4], ipv4), bytes(rxBytes), bytes(txBytes)],
    [`  ${user}`, "", ...heard(told[6], ipv6)],
  ];
}

/** The address as the application knows it, or else as the controller does; another than the leased one stands out. */
function heard(told: Told | undefined, leased: string | undefined): [address: string, answer: string] {
  if (told === undefined) return [leased ?? "-", ""];
  if (!told.answer.ok) return [leased ?? "-", told.answer.why];
  const address = seenAddress(told);
  return [address ?? "-", address === leased ? `${told.tookMs.toFixed(0)} ms` : "not leased"];
}

/** `aws-us-vir-con-00002` is `con-00002`: the rest is the same for all instances of a connector. */
function shortName(instance: string | undefined): string {
  return instance?.split("-").slice(-2).join("-") ?? "-";
}

/** `999 B`, `1.2 kB`, `34 MB`: decimal, at most three digits. */
export function bytes(count: number | undefined): string {
  if (count === undefined) return "-";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}
