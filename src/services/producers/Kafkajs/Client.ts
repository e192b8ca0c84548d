/**
 * One kafkajs client with its producer: used until it is given up, then never again.
 */
import kafkajs, { type KafkaConfig, type ProducerConfig } from "kafkajs"
import * as Address from "../../Address.ts"
import type { EventRecord } from "../../MarketEvent.ts"
import { type Partitions, PartitionsChanged } from "./Partitions.ts"
import type { Secrets } from "./Secrets.ts"
import { makeSockets, type Sockets, type Transport } from "./Transport.ts"

/** Milliseconds. */
export interface Timeouts {
  readonly connection: number
  readonly authentication: number
  /** Also how long a frozen broker goes unnoticed. */
  readonly request: number
  /** The broker's own, for all replicas to have it: shorter than `request`, or its answer would never be seen. */
  readonly ack: number
}

/** What all clients of one program share. */
export interface Settings {
  readonly brokers: ReadonlyArray<string>
  readonly clientId: string
  readonly compression: "gzip" | "none"
  readonly secrets: Secrets
  readonly timeouts: Timeouts
  readonly transport: Transport
}

/** kafkajs does without its own console logger, whatever KAFKAJS_LOG_LEVEL says: what matters comes as a rejection. */
const silent = () => () => {}

/**
 * How long before its end a SASL session is renewed, ms. A broker takes the second renewal within a second for an error
 * (ILLEGAL_SASL_STATE), so a session must last at least a second longer than this: kafkajs's ten seconds fail every send to a broker with
 * a shorter `connections.max.reauth.ms`. It must cover the way of one request to the broker.
 */
const reauthenticationThreshold = 2_000

/** The values of docs/design/kafkajs.md "Times and sizes". Retrying a send is the lane's business: kafkajs's own retry loses records (docs/design/kafkajs.md "Its own retry loses records"). */
export const configOf = (settings: Settings, socketFactory: Transport["connect"]): KafkaConfig => {
  const sasl = settings.secrets.sasl()
  const ssl = settings.secrets.ssl()
  return {
    clientId: settings.clientId,
    brokers: settings.brokers.map(Address.forKafkajs),
    connectionTimeout: settings.timeouts.connection,
    authenticationTimeout: settings.timeouts.authentication,
    reauthenticationThreshold,
    requestTimeout: settings.timeouts.request,
    enforceRequestTimeout: true,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 500, factor: 0.2, multiplier: 2 },
    socketFactory,
    logCreator: silent,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl })
  }
}

const producerConfig: ProducerConfig = {
  // Idempotence of kafkajs loses records after one slow answer (docs/design/kafkajs.md "Idempotence loses records after one slow answer").
  idempotent: false,
  retry: { retries: 0 },
  maxInFlightRequests: 5,
  metadataMaxAge: 30_000,
  allowAutoTopicCreation: false
}

/** kafkajs resolved, but not every partition answered: what it says of a partition that does not exist, or of a broker it skipped. */
export class IncompleteAnswer extends Error {
  constructor(partitions: ReadonlyArray<number>) {
    super(`no acknowledgement from partition ${partitions.join(", ")}`)
  }
}

export interface Client {
  /**
   * Connects if need be. Rejects with whatever kafkajs rejects with, or `IncompleteAnswer`. `compressSmall`: with gzip, also batches that
   * are too small to be worth it.
   */
  readonly send: (records: ReadonlyArray<EventRecord>, compressSmall: boolean) => Promise<void>
  readonly isConnected: () => boolean
  /** Where its connections lead, led, and have ended. */
  readonly sockets: Omit<Sockets, "open" | "destroy" | "close">
  /** Waits for what is pending; never rejects. */
  readonly disconnect: () => Promise<void>
  /** At once: every request fails, no socket stays. */
  readonly abandon: () => void
}

export interface Hooks {
  readonly onRequestTimeout: (broker: string) => void
}

export const make = (settings: Settings, topic: string, partitions: Partitions, hooks: Hooks): Client => {
  const sockets = makeSockets(settings.transport)
  const producer = new kafkajs.Kafka(configOf(settings, sockets.open)).producer({
    ...producerConfig,
    createPartitioner: partitions.partitioner
  })
  const compression = settings.compression === "gzip" ? kafkajs.CompressionTypes.GZIP : kafkajs.CompressionTypes.None
  let connected = false
  let abandoned = false
  producer.on(producer.events.REQUEST_TIMEOUT, (event) => {
    if (abandoned) return
    sockets.destroy(event.payload.broker)
    hooks.onRequestTimeout(Address.shown(event.payload.broker))
  })
  const attempt = (records: ReadonlyArray<EventRecord>, compressSmall: boolean, apart: boolean) => {
    partitions.begin()
    return producer.send({
      topic,
      messages: partitions.messages(records, compressSmall, apart),
      acks: -1,
      timeout: settings.timeouts.ack,
      compression
    })
  }
  return {
    send: async (records, compressSmall) => {
      if (!connected) {
        await producer.connect()
        connected = true
      }
      const answers = await attempt(records, compressSmall, false).catch((cause: unknown) => {
        if (cause instanceof PartitionsChanged) return attempt(records, compressSmall, true)
        throw cause
      })
      const unanswered = partitions.unanswered(answers)
      if (unanswered === undefined || unanswered.length > 0) throw new IncompleteAnswer(unanswered ?? [])
    },
    isConnected: () => connected,
    sockets,
    disconnect: () => producer.disconnect().then(() => {}, () => {}), // it is closed either way: `abandon` follows
    abandon: () => {
      abandoned = true
      sockets.close()
      // Only to stop its timers; with its sockets gone there is nothing to wait for, or to fail at.
      producer.disconnect().then(() => {}, () => {})
    }
  }
}
