/** What an exchange is said to do with its order books, by how they are to be told. */
import type { Books, Exchange } from "../Exchange.ts"
import type { BooksOptions } from "./Options.ts"

/** All that is said (`Books.by` included); undefined: it has none. */
export const booksOf = ({ books }: Pick<Exchange, "books">, options: BooksOptions): Books | undefined =>
  books?.by === undefined ? books : { ...books, ...books.by(options) }
