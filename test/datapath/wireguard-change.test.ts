import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  isAsPlanned,
  type PeerReading,
  type WireguardPeer,
  type WireguardReading,
  wireguardChange,
} from "../../protocol/wireguard.ts";
import { heldAfter, keyOf, neverHeard, peer, planOf } from "./wireguard-model.ts";

describe("the change from what is held to what is wanted", () => {
  const held = (...peers: WireguardPeer[]): WireguardReading => ({
    publicKey: keyOf(100),
    listenPort: 51_820,
    fwmark: 0,
    peers: new Map(
      peers.map((entry): [string, PeerReading] => [entry.publicKey, { ...entry, ...neverHeard }]),
    ),
  });

  test("who stays is not named", () => {
    const stays = peer(1, "10.0.1.17/32");
    const { set, remove } = wireguardChange(
      held(stays, peer(2, "10.0.1.18/32")),
      planOf([stays, peer(3, "10.0.1.19/32")]),
    );
    expect(set.map(({ publicKey }) => publicKey)).toEqual([keyOf(3)]);
    expect(remove).toEqual([keyOf(2)]);
  });

  test("an address that moves is only given, never taken first", () => {
    const { set } = wireguardChange(
      held(peer(1, "10.0.1.17/32", "10.0.1.18/32"), peer(2)),
      planOf([peer(1, "10.0.1.17/32"), peer(2, "10.0.1.18/32")]),
    );
    expect(set).toMatchObject([{ publicKey: keyOf(2), replaceAllowedIps: false }]);
  });

  test("an address that nobody is given is taken by emptying the list", () => {
    const { set } = wireguardChange(
      held(peer(1, "10.0.1.17/32", "10.0.1.18/32")),
      planOf([peer(1, "10.0.1.17/32")]),
    );
    expect(set).toMatchObject([
      { publicKey: keyOf(1), replaceAllowedIps: true, allowedIps: ["10.0.1.17/32"] },
    ]);
  });

  test("an endpoint that was learnt stays where none is wanted", () => {
    const learnt = { ...peer(1, "10.0.1.17/32"), endpoint: "192.0.2.7:40000" };
    expect(isAsPlanned(held(learnt), planOf([peer(1, "10.0.1.17/32")]))).toBe(true);
  });

  test("a second secret and a mark that somebody gave by hand go, and nothing else is touched", () => {
    const stays = peer(1, "10.0.1.17/32");
    const preshared = { ...peer(2, "10.0.1.18/32"), ...neverHeard, isPreshared: true };
    const start = { ...held(stays), fwmark: 7 };
    const withSecret = { ...start, peers: new Map([...start.peers, [keyOf(2), preshared]]) };
    const plan = planOf([stays, peer(2, "10.0.1.18/32")]);
    const found = wireguardChange(withSecret, plan);
    expect(found).toMatchObject({
      forgetsMark: true,
      set: [{ publicKey: keyOf(2), forgetsPresharedKey: true, replaceAllowedIps: false }],
      remove: [],
    });
    expect(isAsPlanned(heldAfter(withSecret, found), plan)).toBe(true);
  });

  test("brings any interface to any plan, and then has nothing more to do", () => {
    const addresses = Array.from({ length: 12 }, (_, i) => `10.0.1.${i}/32`);
    // Which of six peers has which address; 0 is nobody.
    const assignment = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 12, maxLength: 12 });
    const peersOf = (owners: number[]) =>
      [1, 2, 3, 4, 5, 6]
        .map((n) => peer(n, ...addresses.filter((_, i) => owners[i] === n)))
        .filter((_, i) => owners[i] !== 0);
    fc.assert(
      fc.property(assignment, assignment, (before, after) => {
        const start = held(...peersOf(before));
        const plan = planOf(peersOf(after));
        const end = heldAfter(start, wireguardChange(start, plan));
        expect(isAsPlanned(end, plan)).toBe(true);
        const owned = [...end.peers.values()].flatMap(({ publicKey, allowedIps }) =>
          allowedIps.map((ip) => [ip, publicKey]),
        );
        const wanted = plan.peers.flatMap(({ publicKey, allowedIps }) =>
          allowedIps.map((ip) => [ip, publicKey]),
        );
        expect(new Map(owned as [string, string][])).toEqual(new Map(wanted as [string, string][]));
      }),
    );
  });
});
