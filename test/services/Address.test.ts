import { FastCheck as fc } from "effect"
import { assert, describe, it } from "vitest"
import * as Address from "../../src/services/Address.ts"

/** As kafkajs 2.2.4 takes an address apart (`connectionPoolBuilder.js`). */
const split = (broker: string) => ({ host: broker.split(":")[0] ?? "", port: Number(broker.split(":")[1]) })

const hosts = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
const addresses = fc.record({ host: hosts, port: fc.integer({ min: 1, max: 65_535 }) })

describe("addresses of brokers", () => {
  it("go through kafkajs and come back, whatever they are", () => {
    fc.assert(fc.property(addresses, (address) => {
      const given = split(Address.forKafkajs(Address.format(address)))
      assert.deepStrictEqual({ host: Address.hostOf(given.host), port: given.port }, address)
      assert.strictEqual(Address.shown(`${given.host}:${given.port}`), Address.format(address))
    }))
  })

  it("that a broker tells of are told and dialled as they are", () => {
    fc.assert(fc.property(addresses, ({ host, port }) => {
      assert.strictEqual(Address.hostOf(host), host)
      assert.strictEqual(Address.shown(`${host}:${port}`), Address.format({ host, port }))
    }))
  })

  it("are read as they are written", () => {
    fc.assert(fc.property(addresses, (address) => {
      assert.deepStrictEqual(Address.parse(Address.format(address)), address)
    }))
    for (const text of ["::1:9092", "[::1]", "a", "[a]:1", ":1", "a:b", "a:1:2"]) {
      assert.isUndefined(Address.parse(text), text)
    }
  })
})
