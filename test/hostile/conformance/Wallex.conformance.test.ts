import * as FakeWallex from "../../../src/layers/testing/FakeWallex.ts"
import { wallex } from "../../../src/streams/exchanges/Wallex.ts"
import { sided } from "./Changing.ts"
import { conforms } from "./Test.ts"

conforms({ exchange: wallex, world: FakeWallex.make, booksOf: sided })
