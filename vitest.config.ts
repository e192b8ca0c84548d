import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/setup.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    sequence: { shuffle: true },
    testTimeout: 60_000,
    hookTimeout: 180_000,
    retry: 0
  }
})
