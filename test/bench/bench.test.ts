import { expect, test } from "vitest";
import { benches, obstacles } from "./registry.ts";

/** Only that the benches work and do the same work every time: what they measure is not a test's business. */
for (const [name, run] of Object.entries(benches)) {
  const why = obstacles[name];
  const title = `${name} runs at small size and does the same work twice`;
  test.skipIf(why !== undefined)(
    why === undefined ? title : `${title} (skipped: ${why})`,
    async () => {
      const [first, second] = [await run("small"), await run("small")];
      expect(first.rows.length).toBeGreaterThan(0);
      for (const { what, value } of first.rows)
        expect([what, value > 0 && Number.isFinite(value)]).toEqual([what, true]);
      expect(second.work).toBe(first.work);
    },
    120_000,
  );
}
