import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import type { Books } from "./TrueBooks.ts"

type Fake = FakeExchange & { book: Books["book"]; changeBook: Books["move"] }

/** Books that nothing moves but whoever says so. */
export const changing = (fake: Fake): Books => ({
  book: (symbol) => fake.book(symbol),
  move: (symbol) => fake.changeBook(symbol),
  watch: (around) => {
    const change = fake.changeBook.bind(fake)
    fake.changeBook = (symbol) => around(symbol, () => change(symbol))
  },
  isSided: false
})

/** The same where a message has one side, and a book is told only when both have come. */
export const sided = (fake: Fake): Books => {
  const books = changing(fake)
  return {
    ...books,
    move: (symbol) => {
      books.move(symbol)
      books.move(symbol)
    },
    isSided: true
  }
}
