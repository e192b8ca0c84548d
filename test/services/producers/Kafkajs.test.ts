import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Fiber, TestClock } from "effect"
import kafkajs from "kafkajs"
import BrokerPool from "kafkajs/src/cluster/brokerPool.js"
import RequestQueue from "kafkajs/src/network/requestQueue/index.js"
import SocketRequest from "kafkajs/src/network/requestQueue/socketRequest.js"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { Socket } from "node:net"
import * as Address from "../../../src/services/Address.ts"
import { reasonOf } from "../../../src/services/ErrorText.ts"
import * as Murmur2 from "../../../src/services/Murmur2.ts"
import * as Kafkajs from "../../../src/services/producers/Kafkajs.ts"
import { classify, ruinsClient, unavailable } from "../../../src/services/producers/Kafkajs/classify.ts"
import * as Partitions from "../../../src/services/producers/Kafkajs/Partitions.ts"
import { calmTimers, steadyClocks } from "../../../src/services/producers/Kafkajs/patches.ts"
import { makeSockets } from "../../../src/services/producers/Kafkajs/Transport.ts"

const protocol = (type: string, code: number, retriable = false) =>
  new kafkajs.KafkaJSProtocolError(Object.assign(new Error(`the broker says ${type}`), { type, code, retriable }))

/** As kafkajs's retrier wraps what it gave up on. */
const exceeded = (cause: Error) => new kafkajs.KafkaJSNumberOfRetriesExceeded(cause, { retryCount: 2, retryTime: 500 })

/** An error of kafkajs as far as it can be told apart; its type declarations do not know all constructors. */
const named = (name: string, message: string, fields: { readonly code?: string; readonly cause?: unknown } = {}) =>
  Object.assign(new Error(message), { name, ...fields })

/** As its retrier wraps what it does not retry. */
const final = (cause: Error) => named("KafkaJSNonRetriableError", cause.message, { cause })

const metadata = (count: number) =>
  Array.from(
    { length: count },
    (_, partitionId) => ({ partitionId, partitionErrorCode: 0, leader: 1, replicas: [], isr: [] })
  )

const connection = (code?: string, message = "Connection error") =>
  new kafkajs.KafkaJSConnectionError(message, { broker: "127.0.0.1:9092", ...(code === undefined ? {} : { code }) })

describe("classification of what kafkajs rejects with", () => {
  const outages: ReadonlyArray<readonly [name: string, reason: string, cause: unknown]> = [
    ["refused", "connection", final(connection("ECONNREFUSED"))],
    ["unknown host", "connection", exceeded(connection("ENOTFOUND"))],
    [
      "closed by the broker",
      "connection",
      named("KafkaJSConnectionClosedError", "Closed connection")
    ],
    ["born in a freeze", "connection", new Error("Broker not connected")],
    ["dial not answered", "timeout", exceeded(connection(undefined, "Connection timeout"))],
    ["request not answered", "timeout", exceeded(named("KafkaJSRequestTimeoutError", "Request Produce timed out"))],
    ["socket ended by us", "timeout", connection("ETIMEDOUT")],
    ["stuck lock", "timeout", named("KafkaJSLockTimeout", "Timeout while acquiring lock")],
    ["too slow for all replicas", "timeout", protocol("REQUEST_TIMED_OUT", 7, true)],
    ["not enough replicas", "cluster", exceeded(protocol("NOT_ENOUGH_REPLICAS", 19, true))],
    ["leader moved", "cluster", protocol("NOT_LEADER_FOR_PARTITION", 6, true)],
    ["leader gone", "cluster", named("KafkaJSBrokerNotFound", "Broker 2 not found in the cached metadata")],
    ["no such compression", "cluster", protocol("UNSUPPORTED_COMPRESSION_TYPE", 76)],
    ["topic unknown", "topic", exceeded(protocol("UNKNOWN_TOPIC_OR_PARTITION", 3, true))],
    ["topic name", "topic", protocol("INVALID_TOPIC_EXCEPTION", 17)],
    [
      "wrong password",
      "authentication",
      final(named("KafkaJSSASLAuthenticationError", "SASL PLAIN authentication failed"))
    ],
    ["mechanism off", "authentication", protocol("UNSUPPORTED_SASL_MECHANISM", 33)],
    ["SASL on a plain port", "authentication", protocol("ILLEGAL_SASL_STATE", 34)],
    ["no right to the topic", "authorization", protocol("TOPIC_AUTHORIZATION_FAILED", 29)],
    ["no right to the cluster", "authorization", protocol("CLUSTER_AUTHORIZATION_FAILED", 31)],
    ["untrusted", "tls", exceeded(connection("UNABLE_TO_VERIFY_LEAF_SIGNATURE"))],
    ["self-signed", "tls", connection("DEPTH_ZERO_SELF_SIGNED_CERT")],
    ["self-signed chain", "tls", connection("SELF_SIGNED_CERT_IN_CHAIN")],
    ["expired", "tls", connection("CERT_HAS_EXPIRED")],
    ["another name", "tls", connection("ERR_TLS_CERT_ALTNAME_INVALID")],
    ["no client certificate", "tls", connection("ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE")],
    ["TLS on a plain port", "tls", connection("EPROTO")],
    ["half a PEM file", "tls", connection(undefined, "Failed to connect: error:0480006C:PEM routines::no start line")],
    [
      "a key of another certificate",
      "tls",
      connection(undefined, "Failed to connect: error:05800074:x509 certificate routines::key values mismatch")
    ],
    ["a bug", "client", final(new TypeError("Cannot read properties of undefined"))],
    ["no codec", "client", named("KafkaJSNotImplemented", "Snappy compression not implemented")],
    ["a wrapper and nothing else", "client", named("KafkaJSNonRetriableError", "Invalid topic")],
    ["not even an error", "client", "what?"],
    ["nothing", "client", undefined]
  ]
  for (const [name, reason, cause] of outages) {
    it(`${name}: unavailable, ${reason}`, () => {
      const failure = classify(cause)
      assert.deepStrictEqual([failure._tag, failure.reason], ["ProducerUnavailable", reason])
      assert.isAbove(failure.message.length, 0)
    })
  }

  for (
    const [type, code] of [
      ["MESSAGE_TOO_LARGE", 10],
      ["RECORD_LIST_TOO_LARGE", 18],
      ["INVALID_TIMESTAMP", 32],
      ["INVALID_RECORD", 87]
    ] as const
  ) {
    it(`${type}: rejected, however it is wrapped`, () => {
      for (const cause of [protocol(type, code), final(protocol(type, code)), exceeded(final(protocol(type, code)))]) {
        assert.deepInclude(classify(cause), { _tag: "ProducerRejected", code, reason: type })
      }
    })
  }

  it("no other error of a broker is about a record", () => {
    const { errorCodes }: {
      readonly errorCodes: ReadonlyArray<{ readonly type: string; readonly code: number; readonly retriable: boolean }>
    } = createRequire(import.meta.url)("kafkajs/src/protocol/error.js")
    assert.isAbove(errorCodes.length, 80)
    const rejected = errorCodes.filter(({ code, retriable, type }) =>
      classify(protocol(type, code, retriable))._tag === "ProducerRejected"
    )
    assert.deepStrictEqual(rejected.map(({ code }) => code), [10, 18, 32, 87])
  })

  it("says it in one line of at most 200 characters", () => {
    FastCheck.assert(FastCheck.property(FastCheck.fullUnicodeString({ maxLength: 600 }), (message) => {
      const failure = classify(final(new Error(`x${message}\n\u2028\u0000y`)))
      return failure.message.length <= 200 && !/[\p{Cc}\u2028\u2029]/u.test(failure.message)
    }))
  })

  it("names the broker, and each of its addresses with the reason", () => {
    const refusals = ["::1", "127.0.0.1"].map((address) => new Error(`connect ECONNREFUSED ${address}:9092`))
    const words = reasonOf(new AggregateError(refusals))
    const refused = (broker: string) =>
      new kafkajs.KafkaJSConnectionError(`Connection error: ${words}`, { broker, code: "ECONNREFUSED" })
    const both = "connect ECONNREFUSED ::1:9092; connect ECONNREFUSED 127.0.0.1:9092"
    assert.strictEqual(classify(final(refused("localhost:9092"))).message, `localhost:9092: ${both}`)
    // Said already.
    assert.strictEqual(classify(exceeded(refused("127.0.0.1:9092"))).message, both)
    assert.strictEqual(
      classify(connection(undefined, "Connection timeout")).message,
      "127.0.0.1:9092: Connection timeout"
    )
    assert.match(
      classify(new kafkajs.KafkaJSConnectionError("Connection timeout", { broker: Address.forKafkajs("[::1]:9092") }))
        .message,
      /^\[::1\]:9092: /
    )
  })

  it("survives a chain that bites its own tail", () => {
    const cause: { name: string; cause?: unknown } = { name: "Error" }
    cause.cause = cause
    assert.strictEqual(classify(cause)._tag, "ProducerUnavailable")
  })

  it("finds the error in an aggregate, as creating topics fails with", () => {
    const errors = [protocol("TOPIC_AUTHORIZATION_FAILED", 29)]
    const aggregate = Object.assign(named("KafkaJSAggregateError", "Topic creation errors"), { errors })
    assert.strictEqual(classify(aggregate).reason, "authorization")
  })

  it("knows after which failures a client is of no use any more", () => {
    const ruins = (cause: unknown) => ruinsClient(classify(cause))
    assert.isTrue(ruins(new Error("Broker not connected")))
    assert.isTrue(ruins(exceeded(new Error("Broker not connected"))))
    assert.isTrue(ruins(protocol("UNKNOWN_TOPIC_OR_PARTITION", 3, true)))
    assert.isTrue(ruins(new TypeError("x")))
    assert.isTrue(ruins(named("KafkaJSSASLAuthenticationError", "SASL PLAIN authentication failed")))
    assert.isTrue(ruins(connection("CERT_HAS_EXPIRED")))
    assert.isFalse(ruins(final(connection("ECONNREFUSED"))))
    assert.isFalse(ruins(protocol("NOT_ENOUGH_REPLICAS", 19, true)))
    assert.isFalse(ruins(protocol("MESSAGE_TOO_LARGE", 10)))
    assert.isFalse(ruinsClient(unavailable("incomplete", "no acknowledgement from partition 3")))
  })
})

describe("sockets", () => {
  it("are those of the address that was given, ended by the name that kafkajs has for it, and say each reason", () => {
    const dialled: Array<string> = []
    const opened: Array<Socket> = []
    const transport = {
      connect: ({ host }: { readonly host: string }) => {
        dialled.push(host)
        const socket = new Socket()
        opened.push(socket)
        return socket
      },
      gzip: () => Promise.reject(new Error("nothing is sent"))
    }
    const sockets = makeSockets(transport)
    // As `connectionPoolBuilder.js` splits it.
    const [host = "", port = ""] = Address.forKafkajs("[::1]:9092").split(":")
    const socket = sockets.open({ host, port: Number(port), ssl: {}, onConnect: () => {} })
    const heard: Array<string> = []
    socket.on("error", (error) => heard.push(error.message))
    socket.emit("error", new AggregateError([new Error("connect ECONNREFUSED ::1:9092"), new Error("other")]))
    assert.deepStrictEqual(dialled, ["::1"])
    assert.deepStrictEqual(sockets.dialled(), ["[::1]:9092"])
    assert.deepStrictEqual(heard, ["connect ECONNREFUSED ::1:9092; other"])
    sockets.destroy(`${host}:${port}`)
    assert.isTrue(opened[0]?.destroyed)
  })

  it("lead where a connection was made, until it ends", () => {
    const opened: Array<{ readonly socket: Socket; readonly onConnect: () => void }> = []
    const sockets = makeSockets({
      connect: ({ onConnect }) => {
        const socket = new Socket()
        opened.push({ socket, onConnect })
        return socket
      },
      gzip: () => Promise.reject(new Error("nothing is sent"))
    })
    let told = 0
    for (const host of ["a", "b", "a", "c"]) {
      sockets.open({
        host,
        port: 1,
        ssl: {},
        onConnect: () => {
          told += 1
        }
      })
    }
    for (const { onConnect } of opened.slice(0, 3)) onConnect()
    assert.strictEqual(told, 3)
    assert.deepStrictEqual(sockets.dialled(), ["b:1", "a:1", "c:1"])
    assert.deepStrictEqual([sockets.connected(), sockets.ended()], [["a:1", "b:1"], 0])
    for (const { socket } of opened.slice(1)) socket.emit("close")
    assert.deepStrictEqual([sockets.connected(), sockets.ended()], [["a:1"], 2])
  })
})

describe("partitions", () => {
  it("are Murmur2's for any key, remember what was asked, and forget when their number changes", () => {
    FastCheck.assert(FastCheck.property(
      FastCheck.array(
        FastCheck.tuple(FastCheck.fullUnicodeString({ maxLength: 20 }), FastCheck.integer({ min: 1, max: 40 })),
        { minLength: 1 }
      ),
      (sends) => {
        const partitions = Partitions.make()
        const partition = partitions.partitioner()
        assert.strictEqual(partitions.of("x"), undefined)
        for (const [key, count] of sends) {
          partitions.begin()
          const got = partition({ topic: "t", partitionMetadata: metadata(count), message: { key, value: "" } })
          assert.strictEqual(got, Murmur2.partitionOf(key, count))
          assert.deepStrictEqual(partitions.unanswered([]), [got])
          assert.strictEqual(partitions.count(), count)
          for (const [other] of sends) assert.strictEqual(partitions.of(other), Murmur2.partitionOf(other, count))
        }
      }
    ))
  })
})

describe("the check that every partition answered", () => {
  const sent = (...keys: ReadonlyArray<string>) => {
    const partitions = Partitions.make()
    const partition = partitions.partitioner()
    const partitionMetadata = metadata(12)
    partitions.begin()
    const asked = keys.map((key) => partition({ topic: "t", partitionMetadata, message: { key, value: "" } }))
    return { asked, partitions }
  }

  it("is content only if all did, without an error", () => {
    const { asked, partitions } = sent("a", "b", "a", "c")
    const [a = -1, b = -1, , c = -1] = asked
    assert.strictEqual(new Set(asked).size, 3)
    const ok = asked.map((partition) => ({ partition, errorCode: 0 }))
    assert.deepStrictEqual(partitions.unanswered(ok), [])
    assert.deepStrictEqual(partitions.unanswered([{ partition: a, errorCode: 0 }, { partition: c, errorCode: 0 }]), [b])
    assert.deepStrictEqual(partitions.unanswered([]), [a, b, c])
    assert.deepStrictEqual(partitions.unanswered([...ok.slice(0, 3), { partition: c, errorCode: 6 }]), [c])
  })

  it("is not content if kafkajs asked no partition at all", () => {
    assert.strictEqual(sent().partitions.unanswered([]), undefined)
  })
})

describe("patches of kafkajs", () => {
  it("idle connections arm no timer, busy ones do", () => {
    calmTimers()
    calmTimers()
    const queueOf = (
      pending: ReadonlyArray<unknown>
    ): RequestQueue & { throttledUntil: number; throttleCheckTimeoutId?: NodeJS.Timeout } =>
      Object.assign(Object.create(RequestQueue.prototype), { pending, throttledUntil: -1 })
    const idle = queueOf([])
    idle.scheduleCheckPendingRequests()
    assert.strictEqual(idle.throttleCheckTimeoutId, undefined)
    const busy = queueOf([{}])
    busy.scheduleCheckPendingRequests()
    assert.notStrictEqual(busy.throttleCheckTimeoutId, undefined)
    clearTimeout(busy.throttleCheckTimeoutId)
  })
})

describe("kafkajs under a stepped wall clock", () => {
  const hour = 3_600_000

  /** Both clocks stand still but for what the test says. */
  const clocks = <A>(use: (set: (wall: number, monotonic: number) => void) => A): A => {
    const [date, performed] = [Date.now, performance.now]
    try {
      return use((wall, monotonic) => {
        Date.now = () => wall
        performance.now = () => monotonic
      })
    } finally {
      Date.now = date
      performance.now = performed
    }
  }

  const start = Date.parse("2026-06-11T12:00:00Z")

  /** A moment two seconds ahead is so half a second later, whatever the wall clock shows then. */
  const kept = (target: { prototype: object }, name: string) =>
    clocks((set) => {
      steadyClocks()
      for (const by of [hour, -hour, 600_000, -600_000, 1_000, -1_000]) {
        set(start, 5_000)
        const one: Record<string, number | null> = Object.create(target.prototype)
        one[name] = null
        assert.strictEqual(one[name], null)
        one[name] = start + 2_000
        set(start + by + 500, 5_500)
        assert.strictEqual((one[name] ?? 0) - Date.now(), 1_500, `${name} ${by}`)
      }
    })

  it("a request is out, a connection throttled, metadata are old for as long as without the step", () => {
    kept(SocketRequest, "sentAt")
    kept(RequestQueue, "throttledUntil")
    kept(BrokerPool, "metadataExpireAt")
  })

  it("kafkajs still sets what is looked at here", () => {
    steadyClocks()
    const { version }: { readonly version: string } = createRequire(import.meta.url)("kafkajs/package.json")
    assert.strictEqual(version, "2.2.4")
    const source = (file: string) => readFileSync(createRequire(import.meta.url).resolve(`kafkajs/src/${file}`), "utf8")
    assert.match(source("network/requestQueue/socketRequest.js"), /this\.sentAt = Date\.now\(\)/)
    assert.match(source("network/requestQueue/index.js"), /Date\.now\(\) - request\.sentAt > request\.requestTimeout/)
    assert.match(source("network/requestQueue/index.js"), /this\.throttledUntil > Date\.now\(\)/)
    assert.match(source("cluster/brokerPool.js"), /Date\.now\(\) > this\.metadataExpireAt/)
  })
})

describe("a lane", () => {
  /** Takes the dial and says nothing, not even an error: kafkajs then never settles, whatever its timeouts are. */
  const mute = () => {
    const dials: Array<string> = []
    const transport: Kafkajs.Transport = {
      connect: ({ host, port }) => {
        dials.push(`${host}:${port}`)
        return new Socket()
      },
      gzip: () => Promise.reject(new Error("nothing is sent"))
    }
    return { dials, transport }
  }
  const options: Kafkajs.Options = {
    brokers: ["one:1", "two:2"],
    clientId: "test",
    compression: "gzip",
    createTopics: undefined,
    security: { protocol: "PLAINTEXT" }
  }
  const records = [{ key: "a", value: "{}", headers: {}, timestamp: 0 }]

  it.scoped("gives up a client that never answers, and begins with another broker", () =>
    Effect.gen(function*() {
      const { dials, transport } = mute()
      const kafka = yield* Kafkajs.make(options, transport)
      const lane = yield* kafka.lane({ topic: "t", onRequestTimeout: () => Effect.void })
      yield* lane.send([])
      assert.deepStrictEqual(dials, [])
      const send = Effect.fork(Effect.flip(lane.send(records)))
      for (let attempt = 0; attempt < 2; attempt++) {
        const fiber = yield* send
        yield* TestClock.adjust("31 seconds")
        const failure = yield* Fiber.join(fiber)
        assert.deepStrictEqual([failure._tag, failure.reason], ["ProducerUnavailable", "client"])
      }
      assert.deepStrictEqual(dials, ["one:1", "two:2"])
    }))

  it.scoped("needs no Kafka to be made, to be asked for a partition and to be closed", () =>
    Effect.gen(function*() {
      const { dials, transport } = mute()
      const kafka = yield* Kafkajs.make(options, transport)
      const lane = yield* Effect.scoped(kafka.lane({ topic: "t", onRequestTimeout: () => Effect.void }))
      assert.strictEqual(yield* lane.partitionOf("a"), undefined)
      assert.deepStrictEqual(dials, [])
    }))
})
