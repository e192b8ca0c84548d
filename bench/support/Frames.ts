/** What the exchange of the bench sends: BitPin's frames, in the shapes that are measured. */

/** Of a frame. A frame of another kind (book levels) gets a shape of its own here, and a branch in `make`. */
export interface Shape {
  /** Trades in it that were in no frame before. */
  readonly fresh: number
  /** All trades in it, newest first, the older ones again. */
  readonly window: number
}

export const shapes = {
  one: { fresh: 1, window: 1 },
  ten: { fresh: 10, window: 10 },
  window: { fresh: 1, window: 20 }
} as const satisfies Readonly<Record<string, Shape>>

export type ShapeName = keyof typeof shapes

export const symbolOf = (market: number): string => `B${market}_IRT`

export interface Frame {
  readonly market: number
  readonly text: string
  /** The first trade that is new in it; as many follow as the shape says. */
  readonly first: number
}

const firstId = 70_000_000

/** Trade `n` of all, counted from 0. */
export const idOf = (n: number): string => `${firstId + n}_${firstId + 1 + n}`

/** Of a record's id, `bitpin:B7/IRT:t:70000012_70000013`. Undefined: it is none of ours. */
export const numberOf = (id: string): number | undefined => {
  const found = /:t:(\d+)_(\d+)$/.exec(id)
  const n = Number(found?.[1]) - firstId
  return found !== null && n >= 0 && Number(found[2]) === firstId + 1 + n ? n : undefined
}

const began = 1_781_182_785.263627

const row = (n: number) => ({
  id: idOf(n),
  price: String(11_379_465_211 + n % 1000),
  base_amount: `0.0${1000 + n % 9000}`,
  quote_amount: "11075213",
  side: n % 2 === 0 ? "buy" : "sell",
  // Six decimals, as BitPin sends them: more digits than fit a quick way of reading them.
  time: Number((began + n / 1000).toFixed(6))
})

type Row = ReturnType<typeof row>

export interface Frames {
  /** Trades so far. */
  readonly count: () => number
  /** Of the markets in turn. */
  readonly next: () => Frame
}

export const make = ({ fresh, window }: Shape, markets: number): Frames => {
  const past = Array.from({ length: markets }, (): ReadonlyArray<Row> => [])
  let count = 0
  let offset = 0
  return {
    count: () => count,
    next: () => {
      const market = offset % markets
      const symbol = symbolOf(market)
      const first = count
      const rows = Array.from({ length: fresh }, (_, i) => row(first + i))
      count += fresh
      const shown = [...past[market] ?? [], ...rows].slice(-window)
      past[market] = window > fresh ? shown : []
      const data = {
        event: "matches_update",
        event_time: new Date((shown.at(-1)?.time ?? 0) * 1000).toISOString().replace("Z", "000Z"),
        symbol,
        matches: shown.toReversed()
      }
      offset += 1
      const text = JSON.stringify({ push: { channel: `matches:${symbol}`, pub: { data, offset } } })
      return { market, text, first }
    }
  }
}

/** As a server sends it: one unmasked WebSocket frame of text. */
export const onTheWire = (text: string): Buffer => {
  const body = Buffer.from(text)
  const { length } = body
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = 0x81
  if (length < 126) head[1] = length
  else if (length < 65_536) {
    head[1] = 126
    head.writeUInt16BE(length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, body])
}
