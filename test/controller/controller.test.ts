import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { startController } from "../../controller/controller.ts";
import { createTokenLocally } from "../../controller/local.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Raw } from "./wire.ts";

describe("a controller that restarts", () => {
  test("closes its links with 1001 and knows everything it knew", async () => {
    using own = temporaryFolder();
    const options = {
      host: "127.0.0.1",
      port: 0,
      stateDir: own.path,
      tls: undefined,
      awsCertificates: own.path,
      log: pino({ level: "silent" }),
    };
    const raw = await (async () => {
      await using one = await startController(options);
      await one.command({ command: "group.create", group: "staff" }, "token:test");
      const link = new Raw(one.url);
      await link.challenge();
      return link;
    })();
    expect(await raw.end()).toBe(1001);
    await using two = await startController(options);
    expect(two.views.groups()).toMatchObject([{ name: "staff" }]);
    const audit = await two.audit();
    expect(audit.ok && audit.value).toMatchObject([{ action: "group.create", actor: "token:test" }]);
  });
});

test("a token made beside a running controller is known to all requests that come with it at once", async () => {
  using own = temporaryFolder();
  await using controller = await startController({
    ...{ host: "127.0.0.1", port: 0, stateDir: own.path, tls: undefined, awsCertificates: own.path },
    log: pino({ level: "silent" }),
  });
  const made = await createTokenLocally(own.path, "portal");
  if (!made.ok) throw made.failure;
  const { secret } = made.value;
  const answers = await Promise.all([1, 2, 3].map(() => controller.authenticate(secret)));
  expect(answers).toEqual(Array(3).fill({ ok: true, value: "token:portal" }));
});
