import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeWireguardKey } from "../../protocol/node/keys.ts";
import { publicKeyOf } from "../../protocol/node/wireguard/key-text.ts";
import { AnswerReader, setRequest } from "../../protocol/node/wireguard/uapi-text.ts";
import { configurationText, parseDump, removeCommands } from "../../protocol/node/wireguard/wg-text.ts";
import { Secret } from "../../protocol/secret.ts";
import type { WireguardChange } from "../../protocol/wireguard.ts";
import { keyOf } from "./wireguard-model.ts";

const change: WireguardChange = {
  privateKey: new Secret(keyOf(9)),
  listenPort: 51_820,
  forgetsMark: true,
  set: [
    {
      publicKey: keyOf(1),
      allowedIps: ["10.0.1.17/32", "2001:db8::11/128"],
      replaceAllowedIps: false,
      endpoint: undefined,
      keepaliveS: undefined,
      forgetsPresharedKey: false,
    },
    {
      publicKey: keyOf(2),
      allowedIps: ["10.0.1.18/32"],
      replaceAllowedIps: true,
      endpoint: "[2001:db8::1]:51820",
      keepaliveS: 0,
      forgetsPresharedKey: true,
    },
  ],
  remove: [keyOf(3)],
};

describe("the texts of a change", () => {
  test("for a control socket", () => {
    expect(setRequest(change)).toMatchInlineSnapshot(`
      "set=1
      private_key=0000000a00000000000000000000000000000000000000000000000000000000
      listen_port=51820
      fwmark=0
      public_key=0000000200000000000000000000000000000000000000000000000000000000
      allowed_ip=10.0.1.17/32
      allowed_ip=2001:db8::11/128
      public_key=0000000300000000000000000000000000000000000000000000000000000000
      endpoint=[2001:db8::1]:51820
      preshared_key=0000000000000000000000000000000000000000000000000000000000000000
      replace_allowed_ips=true
      allowed_ip=10.0.1.18/32
      persistent_keepalive_interval=0
      public_key=0000000400000000000000000000000000000000000000000000000000000000
      remove=true

      "
    `);
  });

  test("for wg", () => {
    expect(configurationText(change)).toMatchInlineSnapshot(`
      "[Interface]
      PrivateKey = AAAACgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
      ListenPort = 51820
      FwMark = off

      [Peer]
      PublicKey = AAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
      AllowedIPs = 10.0.1.17/32, 2001:db8::11/128

      [Peer]
      PublicKey = AAAAAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
      AllowedIPs = 10.0.1.18/32
      Endpoint = [2001:db8::1]:51820
      PresharedKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
      PersistentKeepalive = off
      "
    `);
    expect(removeCommands("connector0", change.remove)).toMatchInlineSnapshot(`
      [
        [
          "wg",
          "set",
          "connector0",
          "peer",
          "AAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
          "remove",
        ],
      ]
    `);
  });

  test.each(["192.0.2.7:1\nremove=true", "192.0.2.7:1\nAllowedIPs = 0.0.0.0/0", "192.0.2.7:1 # x", ""])(
    "an endpoint that would be more than one line is refused: %j",
    (endpoint) => {
      const [first] = change.set;
      if (first === undefined) throw new Error("no peer");
      const hostile = { ...change, set: [{ ...first, endpoint }] };
      expect(() => setRequest(hostile)).toThrow(SyntaxError);
      expect(() => configurationText(hostile)).toThrow(SyntaxError);
      const prefix = { ...change, set: [{ ...first, allowedIps: [endpoint] }] };
      expect(() => setRequest(prefix)).toThrow(SyntaxError);
      expect(() => configurationText(prefix)).toThrow(SyntaxError);
    },
  );

  test("no command line carries a private key, and long ones are cut", () => {
    const keys = Array.from({ length: 2_500 }, (_, i) => keyOf(i));
    const commands = removeCommands("connector0", keys);
    expect(commands.map((command) => command.length)).toEqual([3_003, 3_003, 1_503]);
    expect(JSON.stringify(change)).not.toContain(keyOf(9));
  });
});

describe("the answer of a control socket", () => {
  const pair = makeWireguardKey();
  const hex = (key: string) => Buffer.from(key, "base64url").toString("hex");
  const answer = [
    `private_key=${hex(pair.privateKey)}`,
    "listen_port=51820",
    "fwmark=51820",
    "something_new=1",
    `public_key=${hex(keyOf(1))}`,
    `preshared_key=${"0".repeat(64)}`,
    `preshared_key=${hex(keyOf(5))}`,
    "protocol_version=1",
    "endpoint=192.0.2.7:40000",
    "last_handshake_time_sec=1800000000",
    "last_handshake_time_nsec=5",
    "tx_bytes=7",
    "rx_bytes=9007199254740991",
    "persistent_keepalive_interval=25",
    "allowed_ip=10.0.1.17/32",
    "allowed_ip=2001:db8::11/128",
    "errno=0",
    "\n",
  ].join("\n");

  test("is read, in whatever pieces it comes", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: answer.length }), { maxLength: 20 }), (cuts) => {
        const reader = new AnswerReader();
        const edges = [0, ...cuts.sort((a, b) => a - b), answer.length];
        const results = edges.map((end, i) => reader.push(answer.slice(edges[i - 1] ?? 0, end)));
        expect(results.at(-1) ?? results.find((result) => result !== undefined)).toEqual({
          errno: 0,
          reading: {
            publicKey: pair.publicKey,
            listenPort: 51_820,
            fwmark: 51_820,
            peers: new Map([
              [
                keyOf(1),
                {
                  publicKey: keyOf(1),
                  allowedIps: ["10.0.1.17/32", "2001:db8::11/128"],
                  endpoint: "192.0.2.7:40000",
                  keepaliveS: 25,
                  isPreshared: true,
                  handshakeAtS: 1_800_000_000,
                  rxBytes: 9_007_199_254_740_991,
                  txBytes: 7,
                },
              ],
            ]),
          },
        });
      }),
    );
  });

  test("an error has its number, with either sign", () => {
    expect(new AnswerReader().push("errno=-22\n\n")?.errno).toBe(22);
    expect(new AnswerReader().push("errno=98\n\n")?.errno).toBe(98);
  });

  test.each([
    ["no name and value", "hello\n"],
    ["a key that is none", "public_key=zz\n"],
    ["a number that is none", "listen_port=many\n"],
    ["a line without end", "x".repeat(600)],
    ["a line that is too long", `endpoint=${"x".repeat(600)}\n`],
  ])("refuses %s", (_name, text) => {
    expect(() => new AnswerReader().push(text)).toThrow(SyntaxError);
  });

  test("refuses a flood", () => {
    const reader = new AnswerReader();
    const line = "protocol_version=1\n".repeat(50_000);
    expect(() => {
      for (let i = 0; i < 100; i++) reader.push(line);
    }).toThrow("too long");
  });

  test("an interface without a key has none", () => {
    expect(new AnswerReader().push("listen_port=1\nerrno=0\n\n")?.reading.publicKey).toBeUndefined();
    expect(publicKeyOf(Buffer.alloc(32).toString("base64url"))).toBeUndefined();
  });
});

test("wg's dump is read", () => {
  const b64 = (key: string) => Buffer.from(key, "base64url").toString("base64");
  const text = [
    `${b64(keyOf(9))}\t${b64(keyOf(8))}\t51820\t0xca6c`,
    `${b64(keyOf(1))}\t(none)\t192.0.2.7:40000\t10.0.1.17/32,2001:db8::11/128\t1800000000\t9\t7\t25`,
    `${b64(keyOf(2))}\t${b64(keyOf(5))}\t(none)\t(none)\t0\t0\t0\toff`,
    "",
  ].join("\n");
  const reading = parseDump(text);
  expect(reading).toMatchObject({ publicKey: keyOf(8), fwmark: 51_820 });
  expect(reading.peers.get(keyOf(1))).toEqual({
    publicKey: keyOf(1),
    allowedIps: ["10.0.1.17/32", "2001:db8::11/128"],
    endpoint: "192.0.2.7:40000",
    keepaliveS: 25,
    isPreshared: false,
    handshakeAtS: 1_800_000_000,
    rxBytes: 9,
    txBytes: 7,
  });
  expect(reading.peers.get(keyOf(2))).toMatchObject({ allowedIps: [], isPreshared: true, keepaliveS: 0 });
  expect(parseDump("(none)\t(none)\t0\toff\n")).toEqual({
    publicKey: undefined,
    listenPort: 0,
    fwmark: 0,
    peers: new Map(),
  });
  expect(() => parseDump("nonsense")).toThrow(SyntaxError);
});
