/**
 * The adapter contract: an exchange is data and pure functions (docs/design/laws.md "An exchange is a value"). Sockets, retries, sharding,
 * acknowledgements, duplicates and back-pressure belong to `Feed`; an adapter cannot get them wrong.
 *
 * A caller's own exchange is one value of `Exchange`.
 */
import type * as Duration from "effect/Duration"
import type * as Either from "effect/Either"
import type { Channel, Side } from "../services/MarketEvent.ts"
import type { BooksOptions } from "./books/Options.ts"
import type { DecodeFailure } from "./DecodeFailure.ts"

/**
 * By HTTP status, what can be done about it: one line.
 *
 * @since 0.1.0
 * @category models
 */
export type Advice = Readonly<Record<number, string>>

/**
 * Where an exchange is reached.
 *
 * @since 0.1.0
 * @category options
 */
export interface Endpoints {
  /** Base of REST, without a slash at its end. */
  readonly apiUrl: string
  /** The whole URL of the WebSocket. */
  readonly wsUrl: string
}

/**
 * What an exchange allows one client, and how it likes to be used.
 *
 * @since 0.1.0
 * @category options
 */
export interface Limits {
  /** Topics of one WebSocket. */
  readonly subscriptionsPerConnection: number
  /** Budgets, shared by all that talks to the exchange (docs/design/delivery.md B5). */
  readonly restPerMinute: number
  /** Between two questions to REST at the least. Left out: as many as a minute allows may leave at once. */
  readonly restApart?: Duration.Duration | undefined
  readonly dialsPerMinute: number
  /** Subscriptions and the like, of all connections together. */
  readonly commandsPerSecond: number
  /** The same of one connection in an hour: when it has sent so many, another takes its place, and it sends no more. Left out: any number. */
  readonly commandsPerHour?: number | undefined
  /**
   * The age at which a connection is replaced before the exchange cuts it, the successor first; undefined where it does not cut by
   * age.
   */
  readonly rotateAfter: Duration.Duration | undefined
  /** Bytes of the largest frame that is taken: 1 MiB if left out. A larger one ends its connection, and what it held is a hole. */
  readonly maxPayload?: number | undefined
}

/**
 * A question that an exchange will not answer now, in its own words.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  /** For people; one line is made of it. */
  readonly message: string
  /** As of a `Retry-After`: seconds or a date, after which anything may be asked again. Left out: the usual back-off. */
  readonly retryAfter?: string | undefined
  /** True: it says that it does not know the market. What is missing of it is given up, and it is asked again with the next list. */
  readonly isUnknownMarket?: boolean | undefined
}

/**
 * What the client has to send while a connection is open, whatever else it sends.
 *
 * @since 0.1.0
 * @category options
 */
export interface KeepAlive {
  readonly every: Duration.Duration
  /**
   * A frame; what is answered to it is `decode`'s to know: no messages. Left out: a ping of the WebSocket protocol. A socket that cannot send
   * pings by hand (a browser's, Node's own) then sends nothing, and an exchange that insists on them hangs up; `NodeWebSocket`'s can.
   */
  readonly text?: string | undefined
}

/**
 * One row of an exchange's list of markets, in its own words.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listed {
  readonly exchangeSymbol: string
  readonly base: string
  readonly quote: string
  readonly tradable: boolean
}

/**
 * A market that may be subscribed to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Market {
  /** `BASE/QUOTE`, allow-listed (`MarketEvent.CanonicalSymbol`). */
  readonly symbol: string
  readonly exchangeSymbol: string
}

/**
 * A trade without its place in the world: the feed adds exchange, symbol, id and times.
 *
 * @since 0.1.0
 * @category models
 */
export interface TradeRow {
  /** The exchange's id, if it gives ids; unique within the market. */
  readonly id: string | undefined
  /**
   * Where one row stands for several of the exchange's ids: the first of them; `id` is the last. For exchanges whose ids count up
   * (`Exchange.tradeIds`): all of them count as known.
   */
  readonly first?: string | undefined
  /** Canonical decimals. The price is above zero; a row with the amount `"0"` is no trade: the feed counts it and leaves it out. */
  readonly price: string
  readonly amount: string
  readonly side: Side
  /** Epoch ms, digits below cut off; null where the exchange gives none. Never null without an id, of which it is then a part. */
  readonly timestamp: number | null
  /** The same with all its digits, where there are more (`ExchangeTime`): what the event says. Ids do not depend on it. */
  readonly time?: string | undefined
}

/**
 * A place in a topic's history: offsets count up within an epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Position {
  readonly epoch: string
  readonly offset: number
}

/**
 * What helps a subscription that the server will not have: asking again soon, or when the list of markets is fetched next, or on
 * another connection because this one is full. `slowly`: it takes no more commands for a while, whatever they are about: all of the frame are asked
 * for again together, after a minute, and ever less often up to ten minutes.
 *
 * @since 0.1.0
 * @category models
 */
export type Remedy = "soon" | "slowly" | "later" | "elsewhere"

/**
 * What a frame brings of a market. `_tag` is the name of the channel that it is for.
 *
 * @since 0.1.0
 * @category models
 */
export type Data = TradesData | BookPart

/**
 * Trades of a market, oldest first.
 *
 * @since 0.1.0
 * @category models
 */
export interface TradesData {
  readonly _tag: "trades"
  readonly exchangeSymbol: string
  readonly rows: ReadonlyArray<TradeRow>
  /**
   * The rows are the market's last trades, as many as the exchange ever puts into one message. Where none of them was seen before, the ones in
   * between are missing. Left out: nobody can tell, as where a message has only what is new.
   */
  readonly isFullWindow?: boolean | undefined
  /**
   * The rows are the market's last trades, with which a subscription begins, however old they are: they do not say that the market trades, nor that
   * what it trades from now on is heard. Left out: they happened just now.
   */
  readonly isPast?: boolean | undefined
}

/**
 * A level of an order book: canonical decimals (`Decimal`), the price in the exchange's own unit (`Exchange.units` is applied by the feed).
 * In a part that changes a book (`delta`) the amount is the level's new total, and `"0"` takes it away. `digits`: what the exchange's
 * checksum wants of this level, made by `decode` of the text received, which canonical decimals do not keep (`0.00044780`); left out
 * where there is no checksum.
 *
 * @since 0.1.0
 * @category models
 */
export type Level = readonly [price: string, amount: string, digits?: string]

/**
 * What a frame brings of a market's order book.
 *
 * @since 0.1.0
 * @category models
 */
export interface BookPart {
  readonly _tag: "books"
  readonly exchangeSymbol: string
  /** `whole`: both sides as they are. `bids`, `asks`: this side as it is, the other is empty here and stays. `delta`: levels that changed. */
  readonly part: "whole" | "bids" | "asks" | "delta"
  /** In any order: the feed sorts them. A later level of the same price stands for the earlier. */
  readonly bids: ReadonlyArray<Level>
  readonly asks: ReadonlyArray<Level>
  /** The number after which a `delta` applies; undefined where the exchange gives none. */
  readonly previous: bigint | undefined
  /** The number that the part leads to, counted by the exchange; undefined where it gives none. */
  readonly sequence: bigint | undefined
  /** What names the state for readers, where `sequence` does not: a number that every connection has alike. Left out: `sequence` does. */
  readonly number?: bigint | undefined
  /** Of the book that this part leads to (`Books.checksum`), as text; left out where the exchange gives none with it. */
  readonly checksum?: string | undefined
  /** Epoch ms, digits below cut off; null where the exchange gives none. */
  readonly timestamp: number | null
  /** The same with all its digits, where there are more (`ExchangeTime`). */
  readonly time?: string | undefined
}

/**
 * How a part of a book follows from what is known. `replaced`: each part is a whole picture (or a whole side), and the newer one stands for
 * the older. All others bring a picture and then changes (`delta`). `exact`: `previous` is the number that we have; the number that it
 * leads to may be the same (nothing changed) or a lower one (the exchange began to count anew). `overlap`: `previous` is that number or a
 * lower one, and `sequence` a higher one. `counted`: the exchange numbers the frames of the connection (`counted`). `none`: only the
 * checksum tells.
 *
 * @since 0.1.0
 * @category models
 */
export type Link = "replaced" | "exact" | "overlap" | "counted" | "none"

/**
 * What an exchange is said to do with its order books.
 *
 * @since 0.1.0
 * @category models
 */
export interface Books {
  readonly link: Link
  /** By which the exchange proves a book, over its best `levels` a side after a part was applied and cut. Best levels first. */
  readonly checksum?: {
    readonly levels: number
    readonly of: (asks: ReadonlyArray<Level>, bids: ReadonlyArray<Level>) => string
  } | undefined
  /** Levels a side that the reader itself has to cut a book to after each part. Left out: the server says which levels leave it. */
  readonly cut?: number | undefined
  /**
   * What gives a new picture, where parts are changes. `picture`: the question of that name, which gives the first one too; else the
   * socket gives the first one, and a new one when its topic is subscribed to anew (`resubscribe`), or only on a new connection (`redial`).
   */
  readonly resync?: "picture" | "resubscribe" | "redial" | undefined
  /** With `resubscribe`: in an hour one connection has so many new subscriptions at most. Left out: as many as are needed. */
  readonly resubscriptions?: number | undefined
  /** A true book of its may be crossed, as before trading begins or in an auction. Left out: one that is crossed is wrong. */
  readonly mayCross?: boolean | undefined
  /** True: it has so many markets that nobody wants all of their books, and which has to be said (`MARKETS`, or its own setting). */
  readonly ofNamedMarkets?: boolean | undefined
  /** Levels a side that it gives at most; undefined where it is not said. */
  readonly levels: number | undefined
  /**
   * What its numbers are. `offset`: they count up within the epoch that the answer to the subscription names, and two collectors see the same.
   * `own`: they count up for ever, the same for whoever listens, and a picture by REST has one of them too. `none`: the feed counts by itself.
   */
  readonly numbers: "offset" | "own" | "none"
  /** A picture by REST, asked where the socket gives none; undefined where the exchange has no such question. */
  readonly picture:
    | {
      readonly path: (market: Market) => string
      /** What the question takes of `limits.restPerMinute`: 1 if left out. */
      readonly cost?: number | undefined
      /** Levels a side that are asked for. A side that has fewer is known wholly; left out: any is. */
      readonly levels?: number | undefined
      readonly decode: (
        body: unknown
      ) => Either.Either<Omit<BookPart, "_tag" | "exchangeSymbol" | "part">, DecodeFailure>
    }
    | undefined
  /**
   * Whole pictures of the best so many levels a side, told by a topic beside the one whose changes keep the book, and numbered as that is (`numbers`
   * is `own`, `link` not `replaced`): by them one market at a time is proved, in turn. On the socket they are parts `whole`, which changes
   * alone never are. Left out: there are none.
   */
  readonly beside?: { readonly topic: (market: Market) => string; readonly levels: number } | undefined
  /**
   * What of all this depends on how books are to be told (`Protocol.topics` is given the same): it stands in place of the fields that it names.
   * Pure. Left out: nothing does.
   */
  readonly by?: ((options: BooksOptions) => Partial<Omit<Books, "by" | "ofNamedMarkets">>) | undefined
}

/**
 * What a frame says.
 *
 * @since 0.1.0
 * @category models
 */
export type Message =
  | Data
  /** The server's greeting: subscriptions may be sent. */
  | { readonly _tag: "ready" }
  /** To be answered with exactly this text, once. */
  | { readonly _tag: "ping"; readonly reply: string }
  | {
    readonly _tag: "subscribed"
    readonly topic: string
    /** Where the topic's history stands, if the server keeps one. */
    readonly position: Position | undefined
    /** In which the offsets of its publications count up, also where nothing of them can be recovered; left out where none is named. */
    readonly epoch?: string | undefined
    /** All since the position that was asked for follows. */
    readonly recovered: boolean
    /** It follows from behind this offset on, and no earlier; left out: from what was asked for. */
    readonly after?: number | undefined
  }
  /** The topic's history has come so far. */
  | { readonly _tag: "moved"; readonly topic: string; readonly offset: number }
  /** The server will not have this subscription; others go on. */
  | {
    readonly _tag: "rejected"
    readonly topic: string
    readonly code: string
    readonly message: string
    readonly remedy: Remedy
  }
  /** The answer to a command, for all of its topics that were not answered by name: where one frame has several (`Protocol.batch`). */
  | { readonly _tag: "granted"; readonly id: string }
  | {
    readonly _tag: "denied"
    readonly id: string
    readonly code: string
    readonly message: string
    readonly remedy: Remedy
  }
  /** The server took a subscription back. */
  | { readonly _tag: "unsubscribed"; readonly topic: string; readonly resubscribe: boolean }
  /** The server is about to end this connection, whatever it said of when: another takes its place first. */
  | { readonly _tag: "leaving" }
  /** The server refuses the session. */
  | { readonly _tag: "refused"; readonly code: number; readonly message: string }
  /**
   * The number of this frame, where an exchange numbers all frames of a connection: the first of its messages. One that does not follow
   * the last by one says that something of any topic is missing.
   */
  | { readonly _tag: "counted"; readonly sequence: bigint }
  /** A part that was not understood; the other messages of the frame stand. */
  | {
    readonly _tag: "failure"
    readonly failure: DecodeFailure
    /**
     * The topic whose data it was: what that had to say of its market is missing, so that a book of before is not known to be true any more, and a
     * trade is a hole. It stands before what else the frame holds of that market.
     * Left out: whose it was cannot be told, or nothing is missing (an odd time beside levels that were read).
     */
    readonly topic?: string | undefined
    /** The same where a frame names its market and channel, but not the whole topic. */
    readonly subject?: { readonly channel: Channel; readonly exchangeSymbol: string } | undefined
  }

/**
 * How an exchange speaks on its WebSocket. Frames are text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protocol {
  /** Sent first; then `ready` is waited for. Undefined: subscriptions go out as soon as the socket is open. */
  readonly hello: string | undefined
  /** Whether each subscription is answered. */
  readonly acknowledges: boolean
  /**
   * What to subscribe to for a channel of a market; empty if the exchange has no such channel. `books`: how order books are to be told, for
   * an exchange that has more than one stream of them; left out: in the usual way.
   */
  readonly topics: (channel: Channel, market: Market, books?: BooksOptions) => ReadonlyArray<string>
  /** Where not all channels are heard on the same connections; left out: all are, at the address as it is. */
  readonly connection?:
    | ((channel: Channel) => {
      /** A connection carries topics of one kind only: `books` apart, say, where only a new connection mends a book. */
      readonly kind: string
      /** Is put behind the address of the WebSocket, be it the exchange's own or set by hand: `/public`. */
      readonly path?: string | undefined
      /** Topics of one such connection, at most; left out: as many as `Limits.subscriptionsPerConnection`. */
      readonly subscriptions?: number | undefined
    })
    | undefined
  /** `id` is unique within the connection. `since`: where the last session was, to be gone on from if the server can. */
  readonly subscribe: (topic: string, id: number, since: Position | undefined) => string
  /** Left out: the exchange needs none, or pings by itself. */
  readonly keepAlive?: KeepAlive | undefined
  /**
   * Where one frame subscribes to several topics: all of one channel, none with a place in its history to be gone on from. Without it,
   * and for a topic by itself, `subscribe` is used.
   */
  readonly batch?: {
    /** Topics of one frame, at most; at least 1. */
    readonly size: number
    readonly subscribe: (topics: ReadonlyArray<string>, id: number) => string
    /** The same for leaving them, where `unsubscribe` is for one. Left out: they are left one by one, each with a frame. */
    readonly unsubscribe?: ((topics: ReadonlyArray<string>, id: number) => string) | undefined
  } | undefined
  /** Undefined: a topic is left only with its connection. */
  readonly unsubscribe: ((topic: string, id: number) => string) | undefined
  /** Close codes after which there is no use in coming back soon. */
  readonly isTerminal: (closeCode: number) => boolean
  /**
   * Pure and total, whatever the text. The feed makes whole what it keeps of the messages, so that their texts may be slices of the
   * frame (`Json.parseFrame`). `topicOf`: the topic a command was about, by its id; undefined if it was about several. */
  readonly decode: (text: string, topicOf: (id: string) => string | undefined) => ReadonlyArray<Message>
}

/**
 * The trade that a page of history is asked to begin above.
 *
 * @since 0.1.0
 * @category models
 */
export interface PageEdge extends Pick<TradeRow, "timestamp" | "time"> {
  /** Its id, a whole number. */
  readonly id: string
}

/**
 * A history in pages, for exchanges whose trade ids count up (`Exchange.tradeIds`). A page is decoded as a market's last trades are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pages {
  /** Rows of a page, at most. */
  readonly size: number
  /**
   * The page just above a trade, below `apiUrl`. `reach`: how many ids from there on it is to be for, `size` at first: where a page ends
   * below an id, that is `id + reach + 1`. It is best that the page holds that trade too (`fromId=<id>`, `since=<its time>`): then it is
   * never empty, an empty one says nothing, and one that begins above the next id says that the history does not reach back so far.
   */
  readonly path: (market: Market, above: PageEdge, reach: number) => string
  /**
   * Which trades a page has if there are more: the oldest above that trade (`fromId`, `since`), or the newest below `id + reach + 1`
   * (`after`). The latter not where `tradeIds` are only `increasing`: a page without the next number is the last one.
   */
  readonly holds: "oldest" | "newest"
  /**
   * The page begins behind that trade, and an empty one says that there are no later ones. Left out: it holds that trade, or older ones, too, and an
   * empty one says nothing, as where a cache may be behind.
   */
  readonly empty?: "end" | undefined
}

/**
 * What is asked of an exchange's REST API, each by GET below `apiUrl`, and how answers are read. Bodies come from `Json.parse`: numbers
 * are text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rest {
  readonly markets: {
    /** Below `apiUrl`. */
    readonly path: string
    /** A bad row harms no other. */
    readonly decode: (
      body: unknown
    ) => Either.Either<ReadonlyArray<Either.Either<Listed, DecodeFailure>>, DecodeFailure>
  }
  readonly history: {
    /** A market's last trades, as many as the exchange gives. */
    readonly path: (market: Market) => string
    /** Left out: there is no asking for others than the last. */
    readonly pages?: Pages | undefined
    /** Oldest first. A bad row harms no other. */
    readonly decode: (
      body: unknown
    ) => Either.Either<ReadonlyArray<Either.Either<TradeRow, DecodeFailure>>, DecodeFailure>
    /**
     * Milliseconds after a subscription before the history is asked: 0 where trades have ids; else the timestamp in which the
     * subscription fell must be over, since equal trades are counted by whole timestamps.
     */
    readonly askAfter: number
  }
  /**
   * For an exchange whose trades no socket brings (`socket.topics("trades", ..)` is empty): the history is asked again and again, of every
   * market in turn, and what is new in it are the trades. It has to give trades with ids, or an overlap could not be told.
   */
  readonly polling?: {
    /** How often a market is asked, at most. With many markets `limits.restPerMinute` decides. */
    readonly every: Duration.Duration
  } | undefined
  /**
   * For a path that not each address of the exchange serves, as hosts for market data alone: the one that is asked in its place, and what whoever
   * runs this can do about it, in at most 150 characters. Its answer is read in the same way; of a page of history (`Pages`) it is one too. Asked
   * where the path is refused with 401, 403, 404, 405 or 410, then for an hour at once. Left out: there is none.
   */
  readonly instead?:
    | ((path: string) => { readonly path: string; readonly advice: string } | undefined)
    | undefined
  /** A cheap question to find out whether the API answers. Not asked while trades are polled: that tells as much. */
  readonly check: {
    readonly path: (market: Market) => string
    readonly decode: (body: unknown) => Either.Either<unknown, DecodeFailure>
  }
  /**
   * What a refusal by body looks like: asked of every answer of status 2xx, before it is decoded, and of any other that has no
   * `Retry-After`. `body` is undefined if it is no JSON, `text` is the same as it came. Total, whatever the body; undefined: it is none. Left
   * out: the exchange refuses by status alone.
   */
  readonly refused?:
    | ((
      answer: { readonly status: number; readonly body: unknown; readonly text?: string | undefined }
    ) => Refusal | undefined)
    | undefined
}

/**
 * See `Exchange.tradeIds`.
 *
 * @since 0.1.0
 * @category models
 */
export type TradeIds = "increasing" | "consecutive" | "grouped"

/**
 * All that the program knows of one exchange (docs/adding-an-exchange.md).
 *
 * @since 0.1.0
 * @category models
 */
export interface Exchange {
  /**
   * Lower case letters and digits, a letter first (`Exchanges.invalid`): names settings, checks, breakers, metrics and topics' keys. Never
   * changed later.
   */
  readonly id: string
  /** As it spells itself, for help texts; its `id` if left out. */
  readonly title?: string | undefined
  /** False: collected only where `EXCHANGES` names it. Left out, it is among the default. */
  readonly byDefault?: boolean | undefined
  /** What is to be said of its addresses in the table of settings, in place of the usual words. */
  readonly help?: { readonly apiUrl?: string | undefined; readonly wsUrl?: string | undefined } | undefined
  /**
   * By HTTP status of an answer or of a refused dial: what whoever runs this can do about it, in at most 150 characters. It stands behind the
   * status wherever the refusal is told. A function is given the addresses that are asked, which are no way out of a refusal by them.
   */
  readonly advice?: Advice | ((asked: Endpoints) => Advice) | undefined
  /** Canonical names of assets that it calls otherwise, both in upper case: `{ TMN: "IRT", XBT: "BTC" }`. */
  readonly names?: Readonly<Record<string, string>> | undefined
  /**
   * By canonical quote, the power of ten by which its prices are to be multiplied: `{ IRT: -1 }` where it counts in Rial, ten to the
   * Toman. Prices are as given where nothing is said.
   */
  readonly units?: Readonly<Record<string, number>> | undefined
  /**
   * The finest unit of its trades' time, milliseconds: a timestamp is over when so much time has passed. A second if left out, which is
   * never too short. Longer ones than a second are not taken.
   */
  readonly clockUnit?: number | undefined
  /**
   * What is known of its trade ids. `increasing`: whole numbers, a later trade of a market has a higher one. `consecutive`: besides, no
   * number is left out, so that one which is missing is a trade that is missing. `grouped`: the same, and one row may stand for several of
   * them (`TradeRow.first`). Left out: nothing, or it gives none.
   */
  readonly tradeIds?: TradeIds | undefined
  readonly endpoints: Endpoints
  readonly limits: Limits
  readonly rest: Rest
  readonly socket: Protocol
  /** Left out: the exchange has no channel `books`. */
  readonly books?: Books | undefined
}
