/**
 * A fake exchange as tests see it: it issues trades, remembers them all, and misbehaves by script (`server.script`, `server.drop`, ...).
 */
import { makeRandom, type Market, walk } from "./FakeMarkets.ts"
import type { FakeServer } from "./FakeServer.ts"
import type { Issued } from "./Oracle.ts"

/** One trade to issue; what is left out comes from the random walk. */
export interface Order {
  /** In units of the market's last decimal. */
  readonly price?: bigint
  /** In units of 10^-8. */
  readonly amount?: bigint
  readonly side?: "buy" | "sell"
  /** Exchange time, epoch ms; now if left out. */
  readonly time?: number
}

export interface Filled {
  readonly market: Market
  readonly price: bigint
  readonly amount: bigint
  readonly side: "buy" | "sell"
  readonly time: number
}

export const amountScale = 8

export abstract class FakeExchange {
  abstract readonly id: "bitpin" | "wallex"
  abstract readonly server: FakeServer
  readonly markets: Array<Market>
  /** In the order in which they happened. */
  readonly issued: Array<Issued> = []
  private readonly random: () => number
  private turn = 0

  constructor(markets: Array<Market>, seed: number) {
    this.markets = markets
    this.random = makeRandom(seed)
  }

  /** Records a trade and sends it to whoever is subscribed. */
  protected abstract publish(filled: Filled): void

  get tradable(): ReadonlyArray<Market> {
    return this.markets.filter(({ tradable }) => tradable)
  }

  trade(exchangeSymbol: string, order: Order = {}): void {
    const market = this.markets.find((one) => one.exchangeSymbol === exchangeSymbol)
    if (market === undefined) throw new Error(`no market ${exchangeSymbol}`)
    this.publish({
      market,
      price: order.price ?? walk(market, this.random),
      amount: order.amount ?? 1n + BigInt(Math.floor(this.random() * 5_000_000_000)),
      side: order.side ?? (this.random() < 0.5 ? "buy" : "sell"),
      time: order.time ?? Date.now()
    })
  }

  /** So many trades, over all tradable markets in turn. */
  trades(count: number): void {
    const { tradable } = this
    for (let i = 0; i < count; i++) {
      const market = tradable[this.turn++ % tradable.length]
      if (market !== undefined) this.trade(market.exchangeSymbol)
    }
  }

  /** So many trades a second until the returned function is called; sent in ticks of 20 ms. */
  flood(perSecond: number): () => void {
    const started = performance.now()
    let done = 0
    const timer = setInterval(() => {
      const due = Math.floor((performance.now() - started) / 1000 * perSecond)
      this.trades(due - done)
      done = due
    }, 20)
    return () => clearInterval(timer)
  }

  /** Symbols somebody is subscribed to. */
  get subscribed(): number {
    return new Set(Array.from(this.server.connections, ({ subscriptions }) => [...subscriptions]).flat()).size
  }

  /** Resolves when every tradable market has a subscriber. */
  async ready(timeout = 20_000): Promise<void> {
    const end = Date.now() + timeout
    while (this.subscribed < this.tradable.length) {
      if (Date.now() > end) {
        throw new Error(`${this.id}: ${this.subscribed} of ${this.tradable.length} markets subscribed`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
