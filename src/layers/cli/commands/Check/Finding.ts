/** What a step of the check comes to. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Address } from "../../../../services/Address.ts"
import type { Problem } from "./Problem.ts"
import { reach } from "./Reach.ts"

/** What to say when it is well. */
export type Finding = Effect.Effect<string, Problem, FileSystem.FileSystem>

/** Prints it; whether it is well. */
export type Tell = (what: string, finding: Finding) => Effect.Effect<boolean, never, FileSystem.FileSystem>

/** What is not as it should be, and in nobody's way. */
const note = (what: string, text: string) => Console.log(`note    ${what}: ${text}`)

/** Name and port, in the order of a dial: which of the steps fails is what one wants to know. */
export const reachable = (what: string, { host, port }: Address): Finding =>
  reach(host, port).pipe(
    Effect.tap(({ others }) => Effect.forEach(others, (text) => note(what, text), { discard: true })),
    Effect.map(({ address }) => address === host ? "connected" : `${address}, connected`)
  )
