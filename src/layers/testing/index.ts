/**
 * Fakes for tests of programs that embed this one: exchanges that speak the real protocols on loopback, and a Kafka in memory.
 */
export * as Carrier from "./Carrier.ts"
export * as FakeBitpin from "./FakeBitpin.ts"
export * as FakeCentrifugo from "./FakeCentrifugo.ts"
export * as FakeClock from "./FakeClock.ts"
export * as FakeConnection from "./FakeConnection.ts"
export * as FakeExchange from "./FakeExchange.ts"
export * as FakeKafka from "./FakeKafka.ts"
export * as FakeMarkets from "./FakeMarkets.ts"
export * as FakeRamzinex from "./FakeRamzinex.ts"
export * as FakeServer from "./FakeServer.ts"
export * as FakeWallex from "./FakeWallex.ts"
export * as Loopback from "./Loopback.ts"
export * as Memory from "./Memory.ts"
export * as MemorySocket from "./MemorySocket.ts"
export * as Oracle from "./Oracle.ts"
export * as Script from "./Script.ts"
