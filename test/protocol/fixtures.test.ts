import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeClient, decodeController, encode } from "../../protocol/codec.ts";
import { ClientMessage, ControllerMessage } from "../../protocol/messages.ts";

interface Fixture {
  from: "client" | "controller" | "both";
  message: { type: string };
  /** Fields that replace those of the message and must each make it malformed. */
  malformed: Record<string, unknown>[];
}

const folder = new URL("../../protocol/fixtures/", import.meta.url);
const fixtures = readdirSync(folder).map((file) => ({
  name: file.replace(".json", ""),
  fixture: JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Fixture,
}));

const sides = { client: decodeClient, controller: decodeController };

function readersOf(fixture: Fixture) {
  return fixture.from === "both" ? [decodeClient, decodeController] : [sides[fixture.from]];
}

test("every message of both sides has a fixture of its name", () => {
  const types = [...ClientMessage.options, ...ControllerMessage.options].map(
    (option) => option.shape.type.value,
  );
  expect(fixtures.map(({ name }) => name).sort()).toEqual([...new Set(types)].sort());
});

describe.each(fixtures)("$name", ({ name, fixture }) => {
  test("is read by the receiving side and survives a round trip", () => {
    expect(fixture.message.type).toBe(name);
    for (const decode of readersOf(fixture)) {
      const read = decode(JSON.stringify(fixture.message));
      if (!read.ok) throw read.failure;
      expect(read.value).toEqual(fixture.message);
      expect(JSON.parse(encode(read.value as never))).toEqual(fixture.message);
    }
  });

  test("drops fields it does not know", () => {
    for (const decode of readersOf(fixture)) {
      expect(decode(JSON.stringify({ ...fixture.message, fromTheFuture: [1] }))).toEqual({
        ok: true,
        value: fixture.message,
      });
    }
  });

  test.each(fixture.malformed.map((change) => [change]))("is malformed with %j", (change) => {
    for (const decode of readersOf(fixture)) {
      const read = decode(JSON.stringify({ ...fixture.message, ...change }));
      expect(read.ok ? "read" : read.failure.code).toBe("protocol.malformed");
      expect(read.ok ? "" : read.failure.facts.field).toContain(Object.keys(change)[0]);
    }
  });

  test("is malformed without any one of its mandatory fields", () => {
    const optional = new Set(["type", "retryAfterMs", "returnWithinMs"]);
    for (const field of Object.keys(fixture.message).filter((field) => !optional.has(field))) {
      const without = Object.fromEntries(Object.entries(fixture.message).filter(([key]) => key !== field));
      for (const decode of readersOf(fixture)) {
        const read = decode(JSON.stringify(without));
        expect(read.ok ? `read without ${field}` : read.failure.code).toBe("protocol.malformed");
      }
    }
  });
});
