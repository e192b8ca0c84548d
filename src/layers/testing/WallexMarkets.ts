/**
 * Wallex's market list with all the fields that a capture of 2026-10-06 has, and its oddities (docs/design/exchanges/wallex.md "REST").
 */
import type { Market } from "./FakeMarkets.ts"
import { printed } from "./Oracle.ts"

/** The body of `GET /hector/web/v1/markets`. */
export const marketList = (markets: ReadonlyArray<Market>): string =>
  JSON.stringify({
    result: { markets: markets.map(row), coin_categories: [{ id: 44, name: "Layer 1" }] },
    message: "The operation was successful",
    success: true
  })

const limits = { threshold: "4", max_acceptable_buy: "8", max_acceptable_sell: "8" }

const unset = { threshold: null, max_acceptable_buy: null, max_acceptable_sell: null }

const row = (market: Market, i: number): object => {
  const price = printed({ units: market.price, scale: market.scale })
  const isQuiet = i % 4 === 3
  return {
    symbol: market.exchangeSymbol,
    base_asset: market.base,
    quote_asset: market.quote,
    fa_base_asset: "بیت کوین",
    fa_quote_asset: "تومان",
    en_base_asset: market.base,
    en_quote_asset: market.quote,
    categories: isQuiet ? null : [44],
    price: isQuiet ? "" : price,
    is_new: false,
    is_spot: market.tradable,
    is_otc: true,
    is_margin: !isQuiet,
    is_tmn_based: market.quote === "TMN",
    is_usdt_based: market.quote === "USDT",
    is_zero_fee: false,
    leverage_step: isQuiet ? null : 0.5,
    max_leverage: isQuiet ? null : 10,
    created_at: "2020-04-01T00:00:00Z",
    amount_precision: 8,
    price_precision: market.scale,
    flags: [],
    // False for heavily traded markets too: not the tradable flag.
    is_market_type_enable: i % 2 === 0,
    otc_min_notional: 90_000,
    otc_max_notional: 400_000_000,
    otc_buy_enabled: true,
    otc_sell_enabled: true,
    fair_price: {
      ask: price,
      bid: price,
      spot: limits,
      margin_market: unset,
      margin_limit: unset,
      sakoo: limits,
      market_maker: limits
    },
    change_24h: -0.6,
    volume_24h: isQuiet ? null : 4.17855514,
    change_7D: 6.18,
    quote_volume_24h: isQuiet ? null : 96_042_462_295.341_84,
    spot_is_new: false,
    otc_is_new: false,
    highest_24h_price: price,
    lowest_24h_price: isQuiet ? "-" : price
  }
}
