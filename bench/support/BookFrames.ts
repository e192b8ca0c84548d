/** Frames of OKX's `books` for many markets: a picture of each, then changes that chain, all made beforehand. */

type Side = Map<number, string>

interface Book {
  readonly symbol: string
  readonly bids: Side
  readonly asks: Side
  sequence: number
}

/** Levels a side that a book has. */
const depth = 400

/** In units of a tenth. */
const middle = 787_165

const price = (units: number): string => (units / 10).toFixed(1)

export class BookFrames {
  private readonly books: ReadonlyArray<Book>
  private turn = 0
  private state: number

  constructor(markets: number, seed = 1) {
    this.state = seed
    this.books = Array.from({ length: markets }, (_, n) => {
      const book: Book = { symbol: `M${n}-USDT`, bids: new Map(), asks: new Map(), sequence: 80_000_000_000 + n }
      for (let level = 1; level <= depth; level++) {
        book.bids.set(middle - level, this.amount())
        book.asks.set(middle + level, this.amount())
      }
      return book
    })
  }

  get symbols(): ReadonlyArray<string> {
    return this.books.map(({ symbol }) => symbol)
  }

  /** As it is now. */
  picture(symbol: string): string {
    const book = this.books.find((one) => one.symbol === symbol)
    if (book === undefined) throw new Error(`no market ${symbol}`)
    const rows = (side: Side, sign: number) =>
      [...side].sort(([a], [b]) => sign * (a - b)).map(([units, amount]) => [price(units), amount, "0", "3"])
    return this.frame(book, "snapshot", -1, rows(book.asks, 1), rows(book.bids, -1))
  }

  /** The next change of a market, all in turn: so many levels, most of them new amounts, some gone and some new. */
  next(levels: number): string {
    const book = this.books[this.turn++ % this.books.length]
    if (book === undefined) throw new Error("no markets")
    const previous = book.sequence
    book.sequence += 7
    const half = levels / 2
    return this.frame(book, "update", previous, this.change(book.asks, 1, half), this.change(book.bids, -1, half))
  }

  private change(side: Side, sign: 1 | -1, count: number): ReadonlyArray<ReadonlyArray<string>> {
    const chosen = new Set<number>()
    // Near the best, as on a market: half of them within the best fifty.
    while (chosen.size < count) {
      chosen.add(middle + sign * (1 + Math.floor(depth * this.random() * this.random())))
    }
    return [...chosen].sort((a, b) => sign * (a - b)).map((units) => {
      if (side.has(units) && this.random() < 0.25) {
        side.delete(units)
        return [price(units), "0", "0", "0"]
      }
      const amount = this.amount()
      side.set(units, amount)
      return [price(units), amount, "0", "3"]
    })
  }

  private frame(
    { sequence, symbol }: Book,
    action: string,
    prevSeqId: number,
    asks: ReadonlyArray<ReadonlyArray<string>>,
    bids: ReadonlyArray<ReadonlyArray<string>>
  ): string {
    return JSON.stringify({
      arg: { channel: "books", instId: symbol },
      action,
      data: [{ asks, bids, ts: "1787572800123", checksum: 0, seqId: sequence, prevSeqId }]
    })
  }

  private amount(): string {
    return (this.random() * 10).toFixed(8)
  }

  private random(): number {
    this.state = (this.state * 1_103_515_245 + 12_345) % 2_147_483_648
    return this.state / 2_147_483_648
  }
}
