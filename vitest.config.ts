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
const slow = ["Check", "CommandLine", "Commands", "Configuration", "Elsewhere", "HealthStates", "Monitoring", "Network", "Package"].map((name) => `test/e2e/${name}.test.ts`)
/** They judge by what happens in a stretch of real time, or how long something takes: a busy neighbour would spoil it. */
const measured = [
  "test/hostile/{Conformance,Servers}.test.ts",
  "test/layers/testing/FakeServer.test.ts",
  "test/e2e/Probes.test.ts",
  "test/faults/{Frozen,Kill}.test.ts"
]
const slowUnits = [...measured, "test/streams/Rotation.test.ts"]

const lengths = short
  ? { FUZZ_RUNS: "20000", FUZZ_FRAMES: "50000", FUZZ_STORIES: "5000", FAULTS_SHORT: "1" }
  : { FUZZ_RUNS: "200000", FUZZ_FRAMES: "1000000", FUZZ_STORIES: "20000" }

export default defineConfig({
  test: {
    // Most of what they do is waiting.
    maxWorkers: 2,
    minWorkers: 1,
    projects: [
      // Pure cores, fakes as layers, loopback servers.
      {
        test: {
          ...shared,
          name: "unit",
          include: ["test/{services,streams,layers,exchanges,hostile,predecessor}/**/*.test.ts", "test/*.test.ts"],
          exclude: slowUnits
        }
      },
      // `npm run test:faults`, `-- --short` in CI. First the property tests at length and what fakes alone do: two files at a time.
      {
        test: {
          ...shared,
          name: "long",
          include: [
            "test/services/KafkaSink/Handover.test.ts",
            "test/hostile/Frames.test.ts",
            "test/streams/trades/Holes.test.ts",
            "test/streams/Truth.test.ts",
            "test/streams/Rotation.test.ts",
            "test/centrifugo/**/*.test.ts"
          ],
          env: lengths,
          testTimeout: 3_600_000
        }
      },
      // Then the service and the broker.
      {
        test: {
          ...shared,
          name: "faults",
          include: ["test/faults/**/*.test.ts", ...slow],
          exclude: measured,
          globalSetup: ["test/kafka/globalSetup.ts"],
          env: lengths,
          testTimeout: 3_600_000
        }
      },
      // Last what judges times: one file at a time (`scripts/test-faults.mjs`; vitest 3 does not take that from a project).
      { test: { ...shared, name: "measured", include: measured, env: lengths, testTimeout: 3_600_000 } },
      // T22, by hand: SOAK_MINUTES.
      { test: { ...shared, name: "soak", include: ["test/soak/**/*.test.ts"], globalSetup: ["test/kafka/globalSetup.ts"] } },
      // What needs the real broker (one for the suite) or the built bundle.
      {
        test: {
          ...shared,
          name: "integration",
          include: ["test/{kafka,e2e,browser}/**/*.test.ts"],
          exclude: [...slow, ...measured],
          globalSetup: ["test/kafka/globalSetup.ts"]
        }
      }
    ]
  }
})
