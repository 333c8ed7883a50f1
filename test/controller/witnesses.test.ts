import { describe, expect, test } from "vitest";
import { networkOf } from "../../controller/core/tally.ts";
import { cut, type Device, group, type Instance, movesOf, on, says, takes, two } from "./group.ts";
import type { Harness } from "./harness.ts";
import { activeInstance, attachedDevice } from "./peers.ts";

const judgementOf = (h: Harness, { name }: Instance) => h.views.instance(name)?.judgement;
const home = (i: number) => `203.0.${i}.5`;

/** So many instances, and devices that are there from these addresses, the first one's on the first instance, in turn. */
function from(instances: number, addresses: readonly string[], users = addresses.map((_, i) => `u${i}`)) {
  const { h, all } = group(instances, 0);
  const devices = addresses.map((address, i) => attachedDevice(h, users[i], "staff", address));
  for (const device of devices) takes(device, "alive");
  const [first, second] = two(all);
  return { h, first, second, devices, there: on(h, first, devices), rest: on(h, second, devices) };
}

function fall(devices: readonly Device[]): void {
  for (const device of devices) says(device, "dead");
}

test.each([
  ["198.51.100.7", "198.51.100.200", true],
  ["198.51.100.7", "198.51.101.7", false],
  ["2001:db8:1:2::3", "2001:db8:1:ffff::1", true],
  ["2001:db8:1:2::3", "2001:db8:2:2::3", false],
  ["2001:db8::1", "2001:db8:0:1::", true],
  ["2001:db8::1", "198.51.100.7", false],
])("%s and %s are of one network: %s", (one, other, is) => {
  expect(networkOf(one) === networkOf(other)).toBe(is);
});

describe("an office", () => {
  const office = Array.from({ length: 8 }, (_, i) => `198.51.100.${i}`);

  test("that lost its way to every instance condemns none: each device is moved by itself", () => {
    const { h, first, second, devices } = from(2, [...office, home(1), home(2), home(3), home(4)]);
    const office8 = devices.slice(0, 8);
    fall(office8);
    h.pass(900);
    expect(movesOf(h)).toEqual([]);
    h.pass(300);
    expect(judgementOf(h, first)?.is).toBe("serving");
    expect(judgementOf(h, second)?.is).toBe("serving");
    expect(new Set(movesOf(h).map(({ after }) => (after as { reason: string }).reason))).toEqual(
      new Set(["path-dead"]),
    );
    const { length } = movesOf(h);
    for (const device of office8) takes(device, "dead");
    h.pass(25_000);
    expect(movesOf(h), "nowhere is better: they wait").toHaveLength(length);
    expect(judgementOf(h, first)?.is).toBe("serving");
  });

  test("where nobody else is heard of an instance condemns it when others of it are well elsewhere", () => {
    const { h, first, there } = from(2, office);
    fall(there);
    expect(judgementOf(h, first)).toMatchObject({ is: "gone", why: "devices", moved: 4 });
  });

  test("does so also when the others are heard of later", () => {
    const { h, first, there, rest } = from(2, office);
    for (const { device } of rest) device.report({ path: undefined });
    fall(there.slice(0, 3));
    expect(judgementOf(h, first)?.is).toBe("serving");
    for (const device of rest.slice(0, 1)) says(device, "alive");
    expect(judgementOf(h, first)?.is).toBe("gone");
  });

  test("does not against networks from which the instance works", () => {
    const { h, first, there } = from(2, [...office, home(1), home(2), home(3), home(4)]);
    fall(there.slice(0, 4));
    expect(there).toHaveLength(6);
    expect(judgementOf(h, first)?.is).toBe("serving");
    h.pass(1_200);
    expect(on(h, first, there)).toEqual(there.slice(4));
  });

  test("condemns an instance whose link is lost by one word", () => {
    const { h, first, there } = from(2, office);
    for (const { device } of there) device.report({ path: undefined });
    h.post({ kind: "disconnected", link: first.agent.link });
    fall(there.slice(0, 1));
    expect(judgementOf(h, first)?.is).toBe("gone");
  });
});

describe("one user", () => {
  test("condemns no living instance, from however many devices and networks", () => {
    const homes = Array.from({ length: 6 }, (_, i) => home(i));
    const { h, first, there } = from(
      2,
      homes,
      homes.map(() => "mallory"),
    );
    fall(there);
    expect(judgementOf(h, first)?.is).toBe("serving");
    h.pass(1_200);
    expect(on(h, first, there)).toEqual([]);
    expect(judgementOf(h, first), "not when they are well elsewhere either").toMatchObject({ is: "serving" });
    for (const device of there) takes(device, "alive");
    h.pass(200);
    expect(judgementOf(h, first)?.is).toBe("serving");
  });

  test("who floods the controller with words has nothing stored, judged or logged", () => {
    const { h, first, there, rest } = from(
      2,
      Array.from({ length: 6 }, (_, i) => home(i)),
    );
    const [liar] = there;
    if (liar === undefined) throw new Error("somebody lies");
    const { commits } = h.store;
    const { length } = h.told;
    for (let i = 0; i < 2_000; i++) takes(liar, i % 2 === 0 ? "dead" : "alive");
    expect(h.store.commits).toBe(commits);
    expect(h.told).toHaveLength(length);
    h.post({ kind: "disconnected", link: first.agent.link });
    for (const { device } of [...there.slice(1), ...rest]) device.report({ path: undefined });
    const before = h.told.length;
    for (let i = 0; i < 2_000; i++) takes(liar, i % 2 === 0 ? "dead" : "alive");
    expect(
      h.told.slice(before).map(({ text }) => text),
      "one verdict, held down",
    ).toEqual(["instance judged anew"]);
  });

  test("who lies with every word costs nobody else a place, and is moved ever more rarely", () => {
    const { h, first, second, devices } = from(
      2,
      Array.from({ length: 6 }, (_, i) => home(i)),
    );
    const [liar, ...honest] = devices;
    if (liar === undefined) throw new Error("somebody lies");
    const before = honest.map(({ id }) => h.views.device(id)?.session?.epoch);
    for (let i = 0; i < 600; i++) {
      takes(liar, i % 3 === 0 ? "alive" : "dead");
      h.pass(1_000);
    }
    expect(honest.map(({ id }) => h.views.device(id)?.session?.epoch)).toEqual(before);
    expect([first, second].map((one) => judgementOf(h, one)?.is)).toEqual(["serving", "serving"]);
    expect(h.views.device(liar.id)?.session?.epoch).toBeLessThan(10);
  });
});

describe("devices that never had a path", () => {
  test("condemn nobody, wherever they are: a hotel that lets no tunnel out proves nothing", () => {
    const { h, first, there } = from(2, [home(1), home(2)]);
    const hotels = [1, 2, 3, 4].map((i) => attachedDevice(h, `guest${i}`, "staff", `192.0.${i}.1`));
    for (const device of hotels) takes(device, "dead");
    expect(there).toHaveLength(1);
    expect(judgementOf(h, first)?.is).toBe("serving");
    h.pass(20_000);
    expect(h.views.instances().map(({ judgement }) => judgement.is)).toEqual(["serving", "serving"]);
  });

  test("on an instance that serves nobody are few: who is well elsewhere goes on saying so", () => {
    const { h, all } = group(2, 0);
    const users = [1, 2, 3, 4].map((i) => attachedDevice(h, `u${i}`, "staff", home(i)));
    for (const user of users) takes(user, "alive");
    const black = activeInstance(h);
    const newcomers = [5, 6, 7, 8].map((i) => {
      const one = attachedDevice(h, `u${i}`, "staff", home(i));
      const isCaught = on(h, black, [one]).length > 0;
      if (isCaught) {
        takes(one, "dead");
        h.pass(3_000);
      }
      takes(one, "alive");
      h.pass(3_000);
      return isCaught;
    });
    expect(newcomers, "the third is not sent there any more").toEqual([true, true, false, false]);
    expect(judgementOf(h, black)).toMatchObject({ is: "gone", why: "devices" });
    h.pass(35_000);
    expect(judgementOf(h, black)?.is, "what was said then is over").toBe("serving");
    expect(all.map((one) => judgementOf(h, one)?.is)).toEqual(["serving", "serving"]);
  });

  test("who left an instance says nothing of it once its link is back: that would hold it down again", () => {
    const { h } = group(2, 0);
    const users = [1, 2, 3, 4].map((i) => attachedDevice(h, `u${i}`, "staff", home(i)));
    for (const user of users) takes(user, "alive");
    const black = activeInstance(h);
    const caught = [5, 6].map((i) => {
      const one = attachedDevice(h, `u${i}`, "staff", home(i));
      expect(on(h, black, [one])).toHaveLength(1);
      takes(one, "dead");
      h.pass(3_000);
      takes(one, "alive");
      return one;
    });
    expect(on(h, black, caught)).toHaveLength(0);
    expect(judgementOf(h, black)).toMatchObject({ is: "gone", why: "devices" });
    cut(h, black.agent.link);
    h.pass(1_000);
    black.agent.on(black.ec2.hello(h));
    black.agent.become("Active", {}, black.ec2);
    h.pass(1_000);
    expect(judgementOf(h, black)?.is).toBe("serving");
  });
});
