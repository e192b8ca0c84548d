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
