import * as Schema from "effect/Schema"
import { messageOf } from "../../../../services/Health.ts"

/** What is wrong, in one line. */
export class Problem extends Schema.TaggedError<Problem>()("Problem", { message: Schema.String }) {}

export const problem = (error: unknown): Problem =>
  new Problem({ message: messageOf(error instanceof Error ? error.message : String(error)) })
