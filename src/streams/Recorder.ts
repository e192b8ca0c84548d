/** Who is told of all that an exchange said, so that it can be played again (`Capture`). */
import type { Channel } from "../services/MarketEvent.ts"
import type * as Time from "../services/Time.ts"
import type { Subject } from "./Channel.ts"
import type { Market } from "./Exchange.ts"

/**
 * A market as a connection listens to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Heard extends Market {
  /** In the order in which they are asked for. Left out: its trades. */
  readonly channels?: ReadonlyArray<Channel>
}

/**
 * A REST answer that became events, or a picture of a book.
 *
 * @since 0.1.0
 * @category models
 */
export interface RestAnswer {
  readonly channel: Channel
  readonly market: Market
  /** What was asked for, below the API's base. */
  readonly path: string
  /** The body. */
  readonly text: string
  /** When it was made use of. */
  readonly at: Time.WallTime
  /** Of trades: places of the rows that were taken, in the answer as it is decoded, oldest first. Left out: all. */
  readonly rows?: ReadonlyArray<number> | undefined
  /** Of trades without ids: ids that were given before, of the same timestamps, without what all of the market's begin with. */
  readonly known?: ReadonlyArray<string> | undefined
}

/**
 * What a recorder is told of, in order.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recorder {
  /** A new session of that connection. */
  readonly opened: (connection: number, markets: Iterable<Heard>, at: Time.WallTime) => void
  /** `answers`: which topics the frame's answers are about, by the ids of the commands that had asked. */
  readonly frame: (
    connection: number,
    text: string,
    at: Time.WallTime,
    answers?: ReadonlyMap<string, ReadonlyArray<string>>
  ) => void
  /** From here on the session listens to these markets; it is told whether or not they are others than before. */
  readonly changed?: ((connection: number, markets: Iterable<Heard>, at: Time.WallTime) => void) | undefined
  readonly answered?: ((answer: RestAnswer) => void) | undefined
}

/** Topics of a connection, in their order: one entry for those of one market that follow each other. */
export const heardOf = (topics: Iterable<Subject>): ReadonlyArray<Heard> => {
  const all: Array<Market & { readonly channels: Array<Channel> }> = []
  for (const { channel, market: { exchangeSymbol, symbol } } of topics) {
    const last = all.at(-1)
    if (last?.symbol !== symbol || last.exchangeSymbol !== exchangeSymbol) {
      all.push({ symbol, exchangeSymbol, channels: [channel] })
    } else if (!last.channels.includes(channel)) last.channels.push(channel)
  }
  return all
}
