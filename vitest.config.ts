import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // No test changes this machine's own network by accident; the VPC's instances are told otherwise.
    env: { CONNECTOR_DATAPATH: "record" },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One second, the default, is less than some conditions take to be looked at once on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    // Real processes, real disks: more files at once than cores only makes deadlines lie.
    maxWorkers: 2,
  },
});
