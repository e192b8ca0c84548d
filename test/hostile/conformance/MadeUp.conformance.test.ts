import * as FakeMadeUp from "../../exchanges/FakeMadeUp.ts"
import { madeUp } from "../../exchanges/MadeUp.ts"
import { conforms } from "./Test.ts"

conforms({ exchange: madeUp, world: FakeMadeUp.make }, false)
