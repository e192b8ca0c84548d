import { Duration } from "effect"
import * as FakeTabdeal from "../../../src/layers/testing/FakeTabdeal.ts"
import { tabdeal } from "../../../src/streams/exchanges/Tabdeal.ts"
import { conforms } from "./Test.ts"

conforms({
  // Scaled like all else: twenty markets within a budget that is twenty times the real one.
  exchange: { ...tabdeal, rest: { ...tabdeal.rest, polling: { every: Duration.seconds(2) } } },
  world: ({ history, markets }) => FakeTabdeal.make({ history, markets, perMinute: 20 * 60 }),
  booksOf: (fake) => ({
    book: (symbol) => fake.book(symbol),
    // Trades do.
    move: () => {},
    watch: (around) => {
      const trades = fake.trades.bind(fake)
      fake.trades = (count) => {
        for (let n = 0; n < count; n++) {
          trades(1)
          // The picture of it is sent later, with the others.
          around(fake.issued.at(-1)?.expected.exchangeSymbol ?? "", () => {})
        }
      }
    },
    isSided: false
  }),
  // No socket brings its trades, and it has nothing to say in an answer to a subscription.
  without: ["flood", "publications in the subscribe reply"]
})
