/** How order books are told. */
import type * as Duration from "effect/Duration"

/**
 * How order books are told (docs/design/contract.md "Books").
 *
 * @since 0.1.0
 * @category options
 */
export interface BooksOptions {
  /** Levels a side of a `book`, at most; `all`: those that are kept. */
  readonly depth: number | "all"
  /** Two `book`s of a market are at least so far apart, but for the first and the one after a hole. Zero: each change is told. */
  readonly interval: Duration.Duration
  /** After so long without a `book` it is told again, unchanged. Zero: never. */
  readonly refresh: Duration.Duration
  /** Also `book_delta`s; every `book` is then an anchor with all kept levels. */
  readonly deltas: boolean
}
