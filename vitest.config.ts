import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One second, the default, is less than some conditions take to be looked at once on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    // Real processes, real disks: more files at once than cores only makes deadlines lie.
    maxWorkers: 2,
  },
});
