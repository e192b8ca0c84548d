import * as FakeOkx from "../../../src/layers/testing/FakeOkx.ts"
import { okx } from "../../../src/streams/exchanges/Okx.ts"
import { changing } from "./Changing.ts"
import { conforms } from "./Test.ts"

// Its waits are scaled down, the exchange's limits are not.
conforms({
  exchange: okx,
  world: (wishes) => FakeOkx.make({ ...wishes, pages: Infinity }),
  booksOf: changing
})
