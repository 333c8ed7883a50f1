import type { LookupAddress } from "node:dns";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ControllerAddresses } from "../../device/adapters/controller-addresses.ts";
import { mayConfigureNetwork } from "../../device/adapters/permission.ts";
import { temporaryFolder } from "../support/folder.ts";

const at = (...addresses: string[]): LookupAddress[] => addresses.map((address) => ({ address, family: 4 }));

test("an address is told at once, and a name when it is dialled, before the dial", async () => {
  const known: string[] = [];
  const tell = async (addresses: readonly string[]) => {
    await Promise.resolve();
    known.push(addresses.join());
  };
  new ControllerAddresses("https://[2001:db8::1]:8443", tell);
  await expect.poll(() => known).toEqual(["2001:db8::1"]);
  const named = new ControllerAddresses("https://controller.example", tell, (_, answered) =>
    answered(null, at("192.0.2.1", "192.0.2.2")),
  );
  expect(known).toHaveLength(1);
  expect(await lookUp(named)).toEqual(at("192.0.2.1", "192.0.2.2"));
  expect(known[1]).toBe("192.0.2.1,192.0.2.2");
});

test("when the name cannot be asked for, it is where it was last", async () => {
  const answers: (LookupAddress[] | undefined)[] = [undefined, at("192.0.2.1"), undefined, []];
  const controller = new ControllerAddresses(
    "https://controller.example",
    async () => undefined,
    (_, answered) => {
      const next = answers.shift();
      const lost = Object.assign(new Error("no answer"), { code: "EAI_AGAIN" });
      answered(next === undefined ? lost : null, next ?? []);
    },
  );
  await expect(lookUp(controller)).rejects.toMatchObject({ code: "EAI_AGAIN" });
  for (let times = 0; times < 3; times++) expect(await lookUp(controller)).toEqual(at("192.0.2.1"));
});

test("the right to configure the network is read from what the kernel says of the process", () => {
  using folder = temporaryFolder();
  const status = join(folder.path, "status");
  for (const [capabilities, may] of [
    ["000001ffffffffff", true],
    ["0000000000001000", true],
    ["000001ffffffefff", false],
    ["0000000000000000", false],
  ] as const) {
    writeFileSync(status, `Name:\tnode\nCapEff:\t${capabilities}\n`);
    expect(mayConfigureNetwork(status)).toBe(may);
  }
  expect(mayConfigureNetwork(join(folder.path, "none"))).toBe(false);
});

function lookUp(controller: ControllerAddresses): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    controller.lookup("controller.example", { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses as LookupAddress[]);
      else reject(error);
    });
  });
}
