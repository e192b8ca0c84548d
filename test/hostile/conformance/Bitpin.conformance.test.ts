import * as FakeBitpin from "../../../src/layers/testing/FakeBitpin.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import { changing } from "./Changing.ts"
import { conforms } from "./Test.ts"

conforms({ exchange: bitpin, world: FakeBitpin.make, booksOf: changing })
