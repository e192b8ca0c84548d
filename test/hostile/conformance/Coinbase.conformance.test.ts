import * as FakeCoinbase from "../../../src/layers/testing/FakeCoinbase.ts"
import { coinbase } from "../../../src/streams/exchanges/Coinbase.ts"
import { conforms } from "./Test.ts"

conforms({
  exchange: coinbase,
  // Its waits are scaled down, the exchange's limits are not.
  world: ({ ping, ...wishes }) =>
    FakeCoinbase.make({ ...wishes, heartbeat: ping, restPerSecond: Infinity, perSecond: Infinity })
})
