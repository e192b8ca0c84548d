import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import type { Books } from "./TrueBooks.ts"

/** Books that nothing moves but whoever says so. */
export const changing = (
  fake: FakeExchange & { book: Books["book"]; changeBook: Books["move"] }
): Books => ({
  book: (symbol) => fake.book(symbol),
  move: (symbol) => fake.changeBook(symbol),
  watch: (around) => {
    const change = fake.changeBook.bind(fake)
    fake.changeBook = (symbol) => around(symbol, () => change(symbol))
  },
  isSided: false
})
