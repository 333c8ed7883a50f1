import { decodeController, encode } from "../../protocol/codec.ts";
import { limits } from "../../protocol/limits.ts";
import type { StateFrame } from "../../protocol/messages.ts";
import { agentDesired, parseEntry } from "../../protocol/state.ts";
import { type BenchResult, best, type Size, timed, workHash } from "./bench.ts";

/** A state frame of sessions, as long as a controller sends it, against bare JSON. */
export async function run(size: Size): Promise<BenchResult> {
  const frame = sessionsFrame(limits.entriesPerFrameMax);
  const text = encode(frame);
  const times = size === "full" ? 300 : 3;
  const perSecond = (act: () => unknown): number => {
    const repeat = () => {
      for (let i = 0; i < times; i++) act();
    };
    return (times / best(size === "full" ? 5 : 1, () => timed(repeat))) * 1_000;
  };
  const megabytes = text.length / 1e6;
  const rows = [
    { what: "JSON.stringify", rate: perSecond(() => JSON.stringify(frame)) },
    { what: "encode", rate: perSecond(() => encode(frame)), against: "JSON.stringify" },
    { what: "JSON.parse", rate: perSecond(() => JSON.parse(text)) },
    { what: "decode", rate: perSecond(() => decodeController(text)), against: "JSON.parse" },
    {
      what: "decode and validate every session",
      rate: perSecond(() => decodeWhole(text)),
      against: "JSON.parse",
    },
  ];
  return {
    rows: rows.flatMap(({ what, rate, against }) => {
      const compared = against === undefined ? {} : { against };
      return [
        { what, value: rate, unit: "frames/s", ...compared },
        { what: `${what}, volume`, value: rate * megabytes, unit: "MB/s" },
      ];
    }),
    work: workHash([decodeWhole(text), text.length]),
  };
}

function decodeWhole(text: string): unknown[] {
  const decoded = decodeController(text);
  if (!decoded.ok || decoded.value.type !== "state") throw new Error("the frame does not decode");
  return decoded.value.set.map(([key, value]) => {
    const parsed = parseEntry(agentDesired, key, value);
    if (parsed.is !== "entry") throw new Error(`an entry does not parse: ${key}`);
    return parsed.entry;
  });
}

function sessionsFrame(count: number): StateFrame {
  const set = Array.from({ length: count }, (_, i): [string, unknown] => {
    const hex = i.toString(16).padStart(8, "0");
    const spec = {
      epoch: i + 1,
      device: `${hex}-1111-4000-8000-000000000000`,
      user: `user${i}@example.com`,
      pool: "Pool1",
      wireguardKey: `${hex}${"A".repeat(35)}`,
      granted: { ipv4: `10.0.${i >> 4}.${i & 15}`, ipv6: `2001:db8::${i.toString(16)}` },
    };
    return [`session/${hex}-0000-4000-8000-000000000000`, spec];
  });
  return { type: "state", from: 1, to: 2, part: 0, last: true, set, remove: [] };
}
