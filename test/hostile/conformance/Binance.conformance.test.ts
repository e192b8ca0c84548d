import * as FakeBinance from "../../../src/layers/testing/FakeBinance.ts"
import { binance } from "../../../src/streams/exchanges/Binance.ts"
import { changing } from "./Changing.ts"
import { conforms } from "./Test.ts"

conforms({
  exchange: binance,
  // It counts pongs among the five frames a second that it allows: pings each 200 ms would be its own fault.
  world: ({ ping, ...wishes }) => FakeBinance.make({ ...wishes, ping: Math.max(ping, 500) }),
  booksOf: changing,
  // Pictures of 20 levels. Deeper books wait for pictures by REST, whose weight allows some a minute: twenty of them take longer than a play.
  asked: { depth: 20, deltas: false }
})
