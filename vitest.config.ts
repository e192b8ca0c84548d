import { defineConfig } from "vitest/config"

const shared = {
  setupFiles: ["test/support/setup.ts"],
  sequence: { shuffle: true },
  testTimeout: 60_000,
  hookTimeout: 180_000,
  retry: 0
} as const

const short = process.env["FAULTS_SHORT"] === "1"

/** They mostly wait, for breakers, checks, histories and rotations: `npm test` has ten minutes. */
const slow = ["test/e2e/Configuration.test.ts", "test/e2e/HealthStates.test.ts"]
const slowUnits = ["test/hostile/Conformance.test.ts", "test/streams/Rotation.test.ts"]

export default defineConfig({
  test: {
    projects: [
      // Pure cores, fakes as layers, loopback servers.
      {
        test: {
          ...shared,
          name: "unit",
          include: ["test/{services,streams,layers,hostile,predecessor}/**/*.test.ts", "test/*.test.ts"],
          exclude: slowUnits
        }
      },
      // The long faults and the property tests at length: `npm run test:faults`, `-- --short` in CI.
      {
        test: {
          ...shared,
          name: "faults",
          include: [
            "test/services/KafkaSink/Handover.test.ts",
            "test/hostile/Frames.test.ts",
            "test/streams/Truth.test.ts",
            "test/centrifugo/**/*.test.ts",
            ...slowUnits,
            "test/faults/**/*.test.ts",
            ...slow
          ],
          globalSetup: ["test/kafka/globalSetup.ts"],
          env: short
            ? { FUZZ_RUNS: "20000", FUZZ_FRAMES: "50000", FAULTS_SHORT: "1" }
            : { FUZZ_RUNS: "200000", FUZZ_FRAMES: "1000000" },
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
          exclude: slow,
          globalSetup: ["test/kafka/globalSetup.ts"],
          fileParallelism: false
        }
      }
    ]
  }
})
