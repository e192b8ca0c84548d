/** The test of one exchange: a file of its own, so that it has a process of its own, as feeds and servers share one event loop. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import { layer } from "../Running.ts"
import * as Document from "./Document.ts"
import { conformance, type Subject } from "./Play.ts"

/** What is measured goes to `docs/conformance.md` with CONFORMANCE_DOC=1. */
export const conforms = <Fake extends FakeExchange>(subject: Subject<Fake>, isDocumented = true): void => {
  describe("conformance", () => {
    it.scopedLive(subject.exchange.id, () =>
      Effect.gen(function*() {
        const rows = yield* conformance(subject)
        if (isDocumented && process.env["CONFORMANCE_DOC"] === "1") Document.write(subject.exchange.id, rows)
      }).pipe(Effect.provide(layer)), { timeout: 660_000 })
  })
}
