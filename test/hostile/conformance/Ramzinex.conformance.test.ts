import * as FakeRamzinex from "../../../src/layers/testing/FakeRamzinex.ts"
import { ramzinex } from "../../../src/streams/exchanges/Ramzinex.ts"
import { changing } from "./Changing.ts"
import { conforms } from "./Test.ts"

conforms({
  exchange: ramzinex,
  // Its windows are of fifty rows, always: a smaller one would not be full, and never leave a hole.
  world: (wishes) => FakeRamzinex.make({ ...wishes, window: 50 }),
  booksOf: changing
})
