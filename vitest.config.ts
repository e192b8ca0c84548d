import { defineConfig } from "vitest/config"

const shared = {
  setupFiles: ["test/support/setup.ts"],
  sequence: { shuffle: true },
  testTimeout: 60_000,
  hookTimeout: 180_000,
  retry: 0
} as const

export default defineConfig({
  test: {
    projects: [
      // Pure cores, fakes as layers, loopback servers.
      { test: { ...shared, name: "unit", include: ["test/{services,streams,layers,conformance}/**/*.test.ts", "test/*.test.ts"] } },
      // The property tests at length: `npm run test:faults`, `-- --short` in CI.
      {
        test: {
          ...shared,
          name: "faults",
          include: ["test/services/KafkaSink/Handover.test.ts"],
          env: { FUZZ_RUNS: process.env["FAULTS_SHORT"] === "1" ? "20000" : "200000" },
          testTimeout: 3_600_000,
          fileParallelism: false
        }
      },
      // What needs the real broker (one for the suite) or the built bundle; one file at a time on two cores.
      {
        test: {
          ...shared,
          name: "integration",
          include: ["test/{kafka,e2e,browser}/**/*.test.ts"],
          globalSetup: ["test/kafka/globalSetup.ts"],
          fileParallelism: false
        }
      }
    ]
  }
})
