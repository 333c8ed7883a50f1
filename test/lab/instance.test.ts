import { expect, test } from "vitest";
import type { Imds } from "../../lab/imds/server.ts";
import { makeMachine } from "../../lab/instance.ts";
import { planInstances } from "../../lab/plan.ts";
import { ask, signer } from "./imds-fixture.ts";

test("an instance that the VPC refuses leaves no metadata service behind", async () => {
  const [plan] = planInstances(1);
  if (plan === undefined) throw new RangeError("no plan");
  let service: Imds | undefined;
  const place = {
    addInstance: (_name: string, imds: Imds) => {
      service = imds;
      return Promise.reject(new RangeError("assigned already"));
    },
  };
  await expect(makeMachine({ plan, place, signer })).rejects.toThrow("assigned already");
  if (service === undefined) throw new Error("not asked");
  await expect(ask(service, "GET", "/latest/meta-data/")).rejects.toThrow("ECONNREFUSED");
});
