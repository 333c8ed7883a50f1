import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeClient, decodeController, encode } from "../../protocol/codec.ts";
import { limits } from "../../protocol/limits.ts";
import { ResourceSpec } from "../../protocol/specs.ts";

function codeOf(frame: string, bytesMax?: number): string {
  const read = decodeClient(frame, bytesMax);
  return read.ok ? read.value.type : read.failure.code;
}

test("a frame past the limit is refused before it is parsed", () => {
  expect(codeOf(`"${"x".repeat(limits.frameBytesMax)}"`)).toBe("protocol.too-large");
  expect(codeOf(`{"type":"goodbye","reason":"${"x".repeat(64)}"}`, 32)).toBe("protocol.too-large");
});

test("nesting is measured before it is parsed, and brackets in strings do not count", () => {
  const nested = (depth: number) => `{"type":"x","v":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  expect(codeOf(nested(limits.frameDepthMax - 1))).toBe("unknown");
  expect(codeOf(nested(limits.frameDepthMax))).toBe("protocol.too-deep");
  expect(codeOf("[".repeat(500_000))).toBe("protocol.too-deep");
  expect(codeOf(JSON.stringify({ type: "x", v: '\\"[[[[[[[[[[[[[[[[[[[[[' }))).toBe("unknown");
});

test.each([
  ["", "protocol.not-json"],
  ["hello", "protocol.not-json"],
  ["<html><body>Sign in</body></html>", "protocol.not-json"],
  ['{"type":"ping","id":1', "protocol.not-json"],
  ["null", "protocol.malformed"],
  ["[]", "protocol.malformed"],
  ['"ping"', "protocol.malformed"],
  ["{}", "protocol.malformed"],
  ['{"type":7}', "protocol.malformed"],
  ['{"type":"constructor"}', "unknown"],
  ['{"type":"__proto__"}', "unknown"],
  ['{"type":"drain-now","since":"version 2"}', "unknown"],
  ['{"type":"challenge"}', "unknown"],
  ['{"type":"ping","id":1}', "ping"],
])("%s is %s", (frame, expected) => {
  expect(codeOf(frame)).toBe(expected);
});

test("no text makes a decoder throw", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.json().map((json) => `{"type":"state","set":${json}}`),
      ),
      (frame) => {
        decodeClient(frame);
        decodeController(frame);
      },
    ),
    { numRuns: 2000 },
  );
});

test("the largest legal state frame of sessions fits a frame", () => {
  const key = "K".repeat(43);
  const session = {
    epoch: Number.MAX_SAFE_INTEGER,
    device: "00000000-0000-4000-8000-000000000000",
    user: "u".repeat(63),
    pool: "p".repeat(63),
    wireguardKey: key,
    granted: { ipv4: "255.255.255.255", ipv6: "2001:db8:1111:2222:3333:4444:5555:6666" },
  };
  const set = Array.from({ length: limits.entriesPerFrameMax }, (_, i): [string, unknown] => [
    `session/${i}`,
    session,
  ]);
  const frame = encode({ type: "state", from: 0, to: 1, part: 0, last: true, set, remove: [] });
  expect(frame.length).toBeLessThan(limits.frameBytesMax / 4);
});

test("a frame holds as many services as it may, all as large as can be and in letters of three bytes", () => {
  const name = "漢".repeat(63);
  const service = ResourceSpec.parse({
    name,
    destination: { domain: `${`${"a".repeat(62)}.`.repeat(3)}${"b".repeat(60)}.aa` },
    protocol: "tcp",
    ports: Array(32).fill({ from: 65_535, to: 65_535 }),
    serverInitiated: false,
    groups: Array(64).fill(name),
  });
  const set = Array.from({ length: limits.entriesPerFrameMax }, (): [string, unknown] => [
    `resource/${name}`,
    service,
  ]);
  const frame = encode({ type: "state", from: 0, to: 1, part: 0, last: true, set, remove: [] });
  expect(Buffer.byteLength(frame), "the WebSocket counts bytes").toBeLessThan(limits.frameBytesMax);
});
