import { describe, expect, test } from "vitest";
import { failed, type Result, success } from "../../protocol/failures.ts";
import { KernelWireguard } from "../../protocol/node/wireguard/kernel.ts";
import { bestBackend } from "../../protocol/node/wireguard/open.ts";
import { WgControl } from "../../protocol/node/wireguard/wg-control.ts";
import { Secret } from "../../protocol/secret.ts";
import { keyOf, neverHeard, peer } from "./wireguard-model.ts";

/** Commands that are answered as iproute2 6.1 and wireguard-tools 1.0 answer, and what was asked. */
function answering(
  answers: readonly (readonly [start: string, answer: string | { readonly fails: string }])[],
) {
  const asked: string[] = [];
  const run = async (argv: readonly string[]): Promise<Result<string>> => {
    const command = argv.join(" ");
    asked.push(command);
    const [, answer = ""] = answers.find(([start]) => command.startsWith(start)) ?? [];
    return typeof answer === "string"
      ? success(answer)
      : failed("datapath.failing", { command, error: answer.fails });
  };
  return { run, asked };
}

const absent = { fails: 'Device "connector0" does not exist.' };
const link = (kind: string) =>
  `[{"ifindex":7,"ifname":"connector0","flags":["POINTOPOINT","NOARP"],"mtu":1420,"linkinfo":{"info_kind":"${kind}"}}]`;

describe("the kernel's backend", () => {
  test.each([
    ["Error: Unknown device type.", "userspace"],
    ["RTNETLINK answers: Operation not supported", "userspace"],
    ["RTNETLINK answers: Operation not permitted", undefined],
    ["RTNETLINK answers: File exists", undefined],
  ])("is chosen by trial: %s", async (fails, backend) => {
    const { run } = answering([["ip link add", { fails }]]);
    const found = await bestBackend("connector0", run);
    expect(found.ok ? found.value : undefined).toBe(backend);
  });

  test("leaves nothing of the trial", async () => {
    const { run, asked } = answering([]);
    expect(await bestBackend("connector0", run)).toEqual(success("kernel"));
    expect(asked).toEqual(["ip link add dev connector0 type wireguard", "ip link delete dev connector0"]);
  });

  test.each([
    ["none", absent, success("made")],
    ["its own", link("wireguard"), success("adopted")],
    ["a process's", link("tun"), undefined],
    ["a bridge", link("bridge"), undefined],
    ["a card", '[{"ifname":"connector0","flags":[],"mtu":9001}]', undefined],
    ["unknown", { fails: "Cannot send dump request: Permission denied" }, undefined],
  ] as const)("takes its name only where it is free or its own: %s", async (_what, shown, expected) => {
    const { run, asked } = answering([["ip -json -details link show", shown]]);
    const ensured = await new KernelWireguard("connector0", run).ensure();
    expect(ensured.ok ? ensured : undefined).toEqual(expected);
    expect(asked.some((command) => command.startsWith("ip link add"))).toBe(shown === absent);
  });

  test("is removed twice without complaint", async () => {
    const { run } = answering([["ip link delete", { fails: 'Cannot find device "connector0"' }]]);
    expect(await new KernelWireguard("connector0", run).remove()).toMatchObject({ ok: true });
  });

  test("says what wg says, and nothing secret", async () => {
    const change = {
      ...{ privateKey: new Secret(keyOf(9)), listenPort: 51_820, forgetsMark: false, remove: [keyOf(2)] },
      set: [{ ...peer(1), replaceAllowedIps: false, keepaliveS: undefined, forgetsPresharedKey: false }],
    };
    const gone = { fails: "Unable to access interface: No such device" };
    const control = new WgControl("connector0", answering([["wg show", gone]]).run);
    expect(await control.read()).toMatchObject({ failure: { facts: { error: gone.fails } } });
    const taken = answering([
      ["wg addconf", { fails: "Unable to modify interface: Address already in use" }],
    ]);
    const refused = await new WgControl("connector0", taken.run).apply(change);
    expect(refused).toMatchObject({
      failure: { facts: { error: "UDP port 51820 is taken by another process" } },
    });
    expect(taken.asked).toHaveLength(1);
    const fine = answering([]);
    expect(await new WgControl("connector0", fine.run).apply(change)).toEqual(success(undefined));
    expect(fine.asked).toEqual([
      expect.stringMatching(/^wg addconf connector0 \/\S+$/),
      `wg set connector0 peer ${Buffer.from(keyOf(2), "base64url").toString("base64")} remove`,
    ]);
    const said = JSON.stringify([refused, fine.asked]);
    for (const form of ["base64", "base64url", "hex"] as const) {
      expect(said).not.toContain(Buffer.from(keyOf(9), "base64url").toString(form));
    }
  });

  test.each([
    ["", "no interface line"],
    ["(none)\t(none)\t0", ""],
    ["a\tb\tc\toff", "fields that are none"],
    [`(none)\t(none)\t0\toff\n${"x".repeat(44)}\t(none)`, "half a peer"],
  ])("reads odd dumps without an exception: %j %s", async (text) => {
    const { run } = answering([["wg show", text]]);
    const read = await new WgControl("connector0", run).read();
    expect(read.ok || read.failure.code === "datapath.failing").toBe(true);
  });

  test("reads a peer that has never been heard, and one at a link-local address", async () => {
    const b64 = (n: number) => Buffer.from(keyOf(n), "base64url").toString("base64");
    const text = [
      `${b64(9)}\t${b64(8)}\t51820\toff`,
      `${b64(1)}\t(none)\t(none)\t(none)\t0\t0\t0\toff`,
      `${b64(2)}\t(none)\t[fe80::1%ens5]:40000\t10.0.1.17/32\t1800000000\t18446744073709551615\t1\t25`,
      "",
    ].join("\n");
    const read = await new WgControl("connector0", answering([["wg show", text]]).run).read();
    expect(read.ok && read.value.peers.get(keyOf(1))).toEqual({ ...peer(1), ...neverHeard });
    expect(read.ok && read.value.peers.get(keyOf(2))).toMatchObject({
      endpoint: "[fe80::1%ens5]:40000",
      keepaliveS: 25,
      txBytes: 1,
    });
  });
});
