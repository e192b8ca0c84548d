/** The exchanges there are, by their ids. One more is one file and one line. */
import { binance } from "./Binance.ts"
import { bitpin } from "./Bitpin.ts"
import { bybit } from "./Bybit.ts"
import { coinbase } from "./Coinbase.ts"
import { kraken } from "./Kraken.ts"
import { nobitex } from "./Nobitex.ts"
import { okx } from "./Okx.ts"
import { ramzinex } from "./Ramzinex.ts"
import { tabdeal } from "./Tabdeal.ts"
import { wallex } from "./Wallex.ts"

/**
 * The exchanges of this package, by their ids.
 *
 * @since 0.1.0
 * @category constants
 */
export const exchanges = { bitpin, wallex, nobitex, ramzinex, tabdeal, binance, coinbase, kraken, okx, bybit } as const
