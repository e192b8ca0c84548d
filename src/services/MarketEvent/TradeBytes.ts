/**
 * A trade's JSON as UTF-8 bytes at once, the very bytes of `JSON.stringify`: the text in between cost a microsecond a trade, and its
 * garbage as much again.
 *
 * The bytes lie in slabs, one trade behind the other, and each keeps its slab alive. Trades leave the memory in the order in which they
 * came, so slabs hold no more than what waits, and 128 KiB: the rest of the oldest and of the newest of them.
 */

/** What is written of a trade, beside its type. */
type Trade =
  & { readonly v: number; readonly timestamp: string | null }
  & Readonly<
    Record<
      "exchange" | "symbol" | "exchangeSymbol" | "id" | "price" | "amount" | "side" | "receivedAt" | "source",
      string
    >
  >

/** What all trades of a market have in common. */
export interface Market {
  readonly exchange: string
  readonly symbol: string
  readonly exchangeSymbol: string
  /** Of its records. */
  readonly key: string
}

export interface Writer {
  /** Undefined of a trade that is not written here: it has other fields or another order of them, or texts that JSON would escape. */
  readonly write: (trade: Trade) => Uint8Array | undefined
  readonly marketOf: (trade: Trade) => Market
}

/** The order in which `toTrades` has them. */
const fields = [
  "type",
  "v",
  "exchange",
  "symbol",
  "exchangeSymbol",
  "id",
  "price",
  "amount",
  "side",
  "timestamp",
  "receivedAt",
  "source"
]

const slabBytes = 64 * 1024

/** Some hundred bytes each. */
const maxMarkets = 4096

/** More than the fixed text between the fields. */
const roomBetween = 64

interface Head extends Market {
  /** All before the id. */
  readonly bytes: Uint8Array
}

const utf8 = new TextEncoder()

const headOf = ({ exchange, exchangeSymbol, symbol }: Trade): Head => {
  const common = JSON.stringify({ type: "trade", v: 1, exchange, symbol, exchangeSymbol })
  return {
    exchange,
    symbol,
    exchangeSymbol,
    key: `${exchange}:${symbol}`,
    bytes: utf8.encode(`${common.slice(0, -1)},"id":"`)
  }
}

/** The receipt, and all behind it: a chunk of trades shares one. */
interface Tail {
  readonly receivedAt: string
  readonly source: string
  readonly bytes: Uint8Array
}

const tailOf = ({ receivedAt, source }: Trade): Tail => ({
  receivedAt,
  source,
  bytes: utf8.encode(`,${JSON.stringify({ receivedAt, source }).slice(1)}`)
})

const hasTheseFields = (trade: Trade): boolean => {
  let i = 0
  for (const name in trade) {
    if (name !== fields[i]) return false
    i += 1
  }
  return i === fields.length
}

const isText = (value: unknown): value is string => typeof value === "string"

const isOfThisVersion = ({ amount, id, price, side, timestamp, v }: Trade): boolean =>
  v === 1 && isText(id) && isText(price) && isText(amount) && isText(side) && (timestamp === null || isText(timestamp))

export const make = (): Writer => {
  const heads = new Map<string, Map<string, Head>>()
  let markets = 0
  let tail: Tail | undefined
  let slab = new Uint8Array()
  let used = 0
  let at = 0
  /** A text of the trade at hand has a character that JSON escapes, or that takes more than a byte. */
  let isOdd = false

  const head = (trade: Trade): Head => {
    const found = heads.get(trade.exchange)?.get(trade.symbol)
    if (found !== undefined && found.exchangeSymbol === trade.exchangeSymbol) return found
    if (markets >= maxMarkets) {
      heads.clear()
      markets = 0
    }
    const ofExchange = heads.get(trade.exchange) ?? new Map<string, Head>()
    heads.set(trade.exchange, ofExchange)
    const made = headOf(trade)
    ofExchange.set(trade.symbol, made)
    markets += 1
    return made
  }

  const put = (bytes: Uint8Array): void => {
    slab.set(bytes, at)
    at += bytes.length
  }

  const putText = (text: string): void => {
    const { length } = text
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) isOdd = true
      slab[at + i] = code
    }
    at += length
  }

  /** ASCII, whatever is in it. */
  const putFixed = (text: string): void => {
    const { length } = text
    for (let i = 0; i < length; i++) slab[at + i] = text.charCodeAt(i)
    at += length
  }

  return {
    marketOf: head,
    write: (trade) => {
      if (!hasTheseFields(trade) || !isOfThisVersion(trade)) return undefined
      const { amount, id, price, side, timestamp } = trade
      const { bytes } = head(trade)
      if (tail?.receivedAt !== trade.receivedAt || tail.source !== trade.source) tail = tailOf(trade)
      const room = bytes.length + tail.bytes.length + roomBetween +
        id.length + price.length + amount.length + side.length + (timestamp?.length ?? 0)
      if (room > slabBytes) return undefined
      if (used + room > slab.length) {
        slab = new Uint8Array(slabBytes)
        used = 0
      }
      at = used
      isOdd = false
      put(bytes)
      putText(id)
      putFixed("\",\"price\":\"")
      putText(price)
      putFixed("\",\"amount\":\"")
      putText(amount)
      putFixed("\",\"side\":\"")
      putText(side)
      if (timestamp === null) putFixed("\",\"timestamp\":null")
      else {
        putFixed("\",\"timestamp\":\"")
        putText(timestamp)
        putFixed("\"")
      }
      put(tail.bytes)
      if (isOdd) return undefined
      const value = slab.subarray(used, at)
      used = at
      return value
    }
  }
}
