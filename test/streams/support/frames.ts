/** Frames as the exchanges send them. */
export interface Row {
  readonly id: string
  readonly price?: string | number
  readonly base_amount?: string
  readonly quote_amount?: string
  readonly side?: string
  readonly time?: number | string
}

export const bitpinPush = (symbol: string, rows: ReadonlyArray<Row>, extra: object = {}): string =>
  JSON.stringify({
    push: {
      channel: `matches:${symbol}`,
      pub: {
        data: {
          event: "matches_update",
          symbol,
          matches: rows.map((row) => ({
            price: "100",
            base_amount: "2.50",
            quote_amount: "250",
            side: "buy",
            time: 1781182785.263627,
            ...row
          })),
          ...extra
        },
        offset: 1
      }
    }
  })

export const wallexTrade = (
  symbol: string,
  fields: {
    readonly price?: string
    readonly quantity?: string
    readonly timestamp?: string
    readonly isBuyOrder?: boolean
  } = {}
): string =>
  JSON.stringify([`${symbol}@trade`, {
    isBuyOrder: true,
    quantity: "2.5000000000000000",
    price: "100.0000000000000000",
    timestamp: "2026-06-11T12:59:45Z",
    ...fields
  }])

/** Number literals as they stand. */
export interface RamzinexRow {
  readonly id: string | number
  readonly price?: string
  readonly amount?: string
  readonly side?: string
  readonly seconds?: string
}

const ramzinexText = ({ amount = "2.5", id, price = "1000", seconds = "1759319486", side = "buy" }: RamzinexRow) =>
  `[${price},${amount},"2025-10-01 11:51:26","${side}",${/^\d+$/.test(seconds) ? seconds : `"${seconds}"`},"${id}"]`

export const ramzinexRow = (row: RamzinexRow): unknown => JSON.parse(ramzinexText(row))

export const ramzinexTrades = (symbol: string, rows: ReadonlyArray<RamzinexRow>): string =>
  `{"push":{"channel":"last-trades:${symbol}","pub":{"data":[${rows.map(ramzinexText).join(",")}],"offset":1}}}`

export const ramzinexBook = (symbol: string, data: object): string =>
  JSON.stringify({ push: { channel: `orderbook:${symbol}`, pub: { data, offset: 1 } } })

/** A push of Nobitex, as its channel `public:trades-` has it. */
export const nobitexTrade = (
  symbol: string,
  fields: {
    readonly price?: string
    readonly volume?: string
    readonly time?: number | string
    readonly type?: string
  } = {},
  offset = 1
): string =>
  JSON.stringify({
    push: {
      channel: `public:trades-${symbol}`,
      pub: { data: { price: "1000", time: 1762781164192, type: "buy", volume: "2.5", ...fields }, offset }
    }
  })

export const nobitexBook = (symbol: string, fields: object = {}, offset = 1): string =>
  JSON.stringify({
    push: {
      channel: `public:orderbook-${symbol}`,
      pub: {
        data: {
          asks: [["1010", "1.5"], ["1020", "2"]],
          bids: [["1000", "0.5"], ["990", "3"]],
          lastTradePrice: "1000",
          lastUpdate: 1762781164192,
          ...fields
        },
        offset
      }
    }
  })

/** Of Binance's combined stream. */
export const binanceTrade = (
  symbol: string,
  fields: object = {},
  stream = `${symbol.toLowerCase()}@trade`
): string =>
  JSON.stringify({
    stream,
    data: {
      e: "trade",
      E: 1790960630914,
      s: symbol,
      t: 6732650448,
      p: "84922.04000000",
      q: "0.00023000",
      T: 1790960630913,
      m: true,
      M: true,
      ...fields
    }
  })

export const binanceBook = (stream: string, fields: object = {}): string =>
  JSON.stringify({
    stream,
    data: {
      lastUpdateId: 160,
      bids: [["0.00240000", "10.00000000"]],
      asks: [["0.00260000", "100.00000000"], ["0.00270000", "0.50000000"]],
      ...fields
    }
  })

/** Number literals as they stand. */
export interface KrakenTrade {
  readonly trade_id: string
  readonly symbol?: string
  readonly side?: string
  readonly price?: string
  readonly qty?: string
  readonly timestamp?: string
}

export const krakenTrades = (trades: ReadonlyArray<KrakenTrade>, type = "update"): string => {
  const rows = trades.map((trade) => {
    const { price = "83744.3", qty = "0.00044780", side = "buy", symbol = "BTC/USD", trade_id } = trade
    const time = trade.timestamp ?? "2026-09-25T17:48:26.844359Z"
    return `{"symbol":"${symbol}","side":"${side}","price":${price},"qty":${qty},"ord_type":"limit",` +
      `"trade_id":${trade_id},"timestamp":"${time}"}`
  })
  return `{"data":[${rows.join(",")}],"type":"${type}","channel":"trade"}`
}

export const okxTrade = (instId: string, fields: object = {}): string =>
  JSON.stringify({
    data: [{ instId, tradeId: "1051102132", px: "78808.8", sz: "0.5", side: "sell", ts: "1788118931677", ...fields }],
    arg: { channel: "trades-all", instId }
  })

/** Rows of `market_trades`, as they are in one event of one frame. */
export const coinbaseTrades = (rows: ReadonlyArray<object>, fields: object = {}): string =>
  JSON.stringify({
    events: [{
      trades: rows.map((row) => ({
        product_id: "BTC-USD",
        trade_id: "1069726291",
        price: "63310.25",
        size: "0.00000043",
        time: "2026-08-12T19:27:47.532655Z",
        side: "BUY",
        ...row
      })),
      type: "update"
    }],
    channel: "market_trades",
    timestamp: "2026-08-12T19:27:48.098821666Z",
    sequence_num: 0,
    ...fields
  })

/** Events of `level2`, as its data comes. */
export const coinbaseBook = (events: ReadonlyArray<object>, fields: object = {}): string =>
  JSON.stringify({
    events,
    channel: "l2_data",
    timestamp: "2026-08-24T22:34:13.813365299Z",
    sequence_num: 2,
    ...fields
  })

/** Rows of one frame; a field that is left out is that of a captured one. */
export const bybitTrades = (symbol: string, rows: ReadonlyArray<object>): string =>
  JSON.stringify({
    topic: `publicTrade.${symbol}`,
    ts: 1789875217841,
    type: "snapshot",
    data: rows.map((row) => ({
      i: "2290000001211680903",
      T: 1789875217840,
      p: "80413.3",
      v: "0.06",
      S: "Sell",
      seq: 114263055846,
      s: symbol,
      BT: false,
      RPI: false,
      ...row
    }))
  })
