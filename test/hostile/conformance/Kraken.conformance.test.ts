import * as FakeKraken from "../../../src/layers/testing/FakeKraken.ts"
import { kraken } from "../../../src/streams/exchanges/Kraken.ts"
import { conforms } from "./Test.ts"

conforms({ exchange: kraken, world: ({ ping, ...wishes }) => FakeKraken.make({ ...wishes, heartbeat: ping }) })
