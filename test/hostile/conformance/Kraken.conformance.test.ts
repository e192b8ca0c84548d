import * as FakeKraken from "../../../src/layers/testing/FakeKraken.ts"
import { kraken } from "../../../src/streams/exchanges/Kraken.ts"
import { changing } from "./Changing.ts"
import { conforms } from "./Test.ts"

/** Levels a side: so few that levels fall out of the depth that was asked, of which nothing is said, and come back. */
const depth = 10

conforms({
  exchange: kraken,
  world: ({ ping, ...wishes }) => FakeKraken.make({ ...wishes, heartbeat: ping }),
  booksOf: (fake) => ({ ...changing(fake), book: (symbol) => fake.book(symbol, depth) }),
  asked: { depth }
})
