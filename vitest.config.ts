import { defineConfig } from "vitest/config"

const shared = {
  setupFiles: ["test/support/setup.ts"],
  sequence: { shuffle: true },
  testTimeout: 60_000,
  hookTimeout: 180_000,
  retry: 0
} as const

const short = process.env["FAULTS_SHORT"] === "1"

/**
 * The tier of a test file is its suffix:
 * `.test.ts` runs with `npm test`; `.fuzz.test.ts` too, and at length with `npm run test:faults`;
 * `.slow.test.ts` mostly waits, `.timed.test.ts` judges by what happens in a stretch of real time, which a busy neighbour would spoil: both
 * run with `npm run test:faults` only, as do `.conformance.test.ts`, which wait for most of their time: each in its process.
 */
const conformance = "**/*.conformance.test.ts"
const slow = "**/*.slow.test.ts"
const timed = "**/*.timed.test.ts"

const lengths = short
  ? { FUZZ_RUNS: "20000", FUZZ_FRAMES: "30000", FUZZ_STORIES: "5000", FAULTS_SHORT: "1" }
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
          include: ["test/{services,streams,layers,exchanges,hostile,bench}/**/*.test.ts", "test/*.test.ts"],
          exclude: [slow, timed, conformance]
        }
      },
      // `npm run test:faults`, `-- --short` in CI. First the property tests at length and what fakes alone do: two files at a time.
      {
        test: {
          ...shared,
          name: "long",
          include: ["test/**/*.fuzz.test.ts", "test/{streams,centrifugo}/**/*.slow.test.ts"],
          env: lengths,
          testTimeout: 3_600_000
        }
      },
      // Next each exchange beside servers that misbehave, by counts and events: `scripts/test-faults.mjs` says how many at a time.
      { test: { ...shared, name: "conformance", include: [conformance], testTimeout: 3_600_000 } },
      // Then the service and the broker. Books.test.ts is for a machine of its own.
      {
        test: {
          ...shared,
          name: "faults",
          include: ["test/faults/**/*.test.ts", "test/e2e/**/*.slow.test.ts"],
          exclude: short ? [timed, "test/faults/Books.test.ts"] : [timed],
          globalSetup: ["test/kafka/globalSetup.ts"],
          env: lengths,
          testTimeout: 3_600_000
        }
      },
      // Last what judges times: one file at a time (`scripts/test-faults.mjs`; vitest 3 does not take that from a project).
      { test: { ...shared, name: "measured", include: ["test/**/*.timed.test.ts"], env: lengths, testTimeout: 3_600_000 } },
      // T22, by hand: SOAK_MINUTES.
      { test: { ...shared, name: "soak", include: ["test/soak/**/*.test.ts"], globalSetup: ["test/kafka/globalSetup.ts"] } },
      // What needs the real broker (one for the suite) or the built bundle.
      {
        test: {
          ...shared,
          name: "integration",
          include: ["test/{kafka,e2e,browser}/**/*.test.ts"],
          exclude: [slow, timed],
          globalSetup: ["test/kafka/globalSetup.ts"]
        }
      }
    ]
  }
})
