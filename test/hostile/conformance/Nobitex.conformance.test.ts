import * as FakeNobitex from "../../../src/layers/testing/FakeNobitex.ts"
import { nobitex } from "../../../src/streams/exchanges/Nobitex.ts"
import { conforms } from "./Test.ts"

conforms({
  exchange: nobitex,
  // Unasked it puts no publication into an answer; asked, and that is what it keeps, it gives the last one and calls that all.
  world: ({ publicationsInReply: cache = false, recovery = cache, ...wishes }) =>
    FakeNobitex.make({ ...wishes, cache, recovery }),
  booksOf: (fake) => ({
    book: (symbol) => fake.book(symbol),
    move: (symbol) => fake.moveBook(symbol),
    watch: (around) => {
      const move = fake.moveBook.bind(fake)
      // Its trades move books, too.
      fake.moveBook = (symbol) => around(symbol, () => move(symbol))
    },
    isSided: false
  })
})
