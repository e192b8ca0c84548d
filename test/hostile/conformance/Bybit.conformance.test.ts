import * as FakeBybit from "../../../src/layers/testing/FakeBybit.ts"
import { bybit } from "../../../src/streams/exchanges/Bybit.ts"
import { changing } from "./Changing.ts"
import { conforms } from "./Test.ts"

// 600 questions in five seconds are the exchange's limit, and not scaled; nor is what is asked here.
conforms({
  exchange: bybit,
  world: (wishes) => FakeBybit.make({ ...wishes, questions: Infinity }),
  booksOf: changing
})
