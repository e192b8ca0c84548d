/**
 * The body of a produce request, versions 3 to 7, with record batches of format 2: byte for byte what kafkajs 2.2.4 makes of the
 * same records, which a property test compares, nine times as fast (`npm run bench -- produce`). kafkajs makes a zeroed buffer of half
 * a kilobyte for each record and each header, and an array and a buffer for each number in them: at 20 000 records a second a third
 * of a core. One thing differs: with gzip, kafkajs compresses each batch, and this only those that are worth it.
 *
 * Layout: kafka.apache.org/documentation/#recordbatch, and its protocol guide for the request around it.
 */
import type { Message } from "kafkajs"
import crc32C from "kafkajs/src/protocol/recordBatch/crc32C/index.js"
import type { EventRecord } from "../../MarketEvent.ts"
import * as Varint from "../../Varint.ts"
import type { Transport } from "./Transport.ts"

/**
 * What kafkajs is given: all records of one partition as one message, for whatever it does itself. It goes through its messages some ten
 * times, and copies the partition's list with each that it puts there: a message for each record was a tenth of a trade's whole cost.
 */
export class RecordsMessage implements Message {
  readonly records: readonly [EventRecord, ...ReadonlyArray<EventRecord>]
  /** How many partitions the topic had when these were found to go to the same one; undefined: it is one record, and goes where its key goes. */
  readonly partitions: number | undefined
  /** Compress also a batch that is too small to be worth it. */
  readonly compressSmall: boolean
  /** Not looked at, but kafkajs refuses a message that has none. */
  readonly value = ""

  constructor(
    records: readonly [EventRecord, ...ReadonlyArray<EventRecord>],
    partitions: number | undefined = undefined,
    compressSmall = false
  ) {
    this.records = records
    this.partitions = partitions
    this.compressSmall = compressSmall
  }

  get key(): string {
    return this.records[0].key
  }
}

/** As kafkajs hands it to its own encoder. */
export interface Request {
  readonly acks: number
  /** Milliseconds. */
  readonly timeout: number
  readonly topicData: ReadonlyArray<{
    readonly topic: string
    readonly partitions: ReadonlyArray<{
      readonly partition: number
      readonly messages: ReadonlyArray<Message>
      readonly firstSequence?: number
    }>
  }>
  /** A number of `CompressionTypes`. */
  readonly compression?: number | undefined
  readonly transactionalId?: string | undefined
}

const isOurs = (message: Message): message is RecordsMessage => message instanceof RecordsMessage

/** Ours, all of it: another user of kafkajs in this process has messages that we do not know. */
export const isKnown = (request: Request): boolean =>
  request.transactionalId === undefined && (request.compression ?? none) <= gzip &&
  request.topicData.every(({ partitions }) => partitions.every(({ messages }) => messages.every(isOurs)))

/** For kafkajs's own encoders, which know nothing of ours: a message for each record, with what they look at. */
export const spelledOut = (request: Request): Request => ({
  ...request,
  topicData: request.topicData.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map((partition) => ({
      ...partition,
      messages: partition.messages.flatMap((message) => isOurs(message) ? message.records.map(messageOf) : [message])
    }))
  }))
})

const messageOf = ({ headers, key, timestamp, value }: EventRecord): Message => ({
  key,
  value: typeof value === "string" || Buffer.isBuffer(value)
    ? value
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  headers,
  timestamp: String(timestamp)
})

const none = 0
const gzip = 1

/**
 * Bytes of records in one partition's batch below which gzip costs more than it saves: a deflate takes some 100 us of CPU and a hop to
 * another thread, whatever it packs, and at real rates each partition gets one or two records a request. It was 41 of 141 us a trade.
 */
export const worthCompressing = 2_048

/** Of a batch, up to its records. */
const headBytes = 61

/** Of a batch: what its length does not count. */
const beforeLength = 12

/** Of a batch: where what its checksum covers begins. */
const covered = 21

/** Of most records: what guesses the bytes of its length. */
const usualRecord = 400

const two32 = 0x1_0000_0000

const putI64 = (bytes: Buffer, offset: number, value: number): void => {
  const high = Math.floor(value / two32)
  bytes.writeInt32BE(high, offset)
  bytes.writeUInt32BE(value - high * two32, offset + 4)
}

const roomFor = ({ headers, key, value }: EventRecord): number => {
  let room = 32 + Varint.roomForText(key) + Varint.roomForText(value)
  for (const name in headers) room += Varint.roomForText(name) + Varint.roomForText(headers[name] ?? "")
  return room
}

const putRecord = (bytes: Buffer, offset: number, record: EventRecord, index: number, firstTimestamp: number): number =>
  Varint.putBehindLength(bytes, offset, usualRecord, 2, (start) => {
    bytes[start] = 0 // attributes: there are none
    let at = Varint.putVarint(bytes, start + 1, (record.timestamp - firstTimestamp) * 2)
    at = Varint.putVarint(bytes, at, index * 2)
    at = Varint.putText(bytes, at, record.key, 2)
    at = Varint.putText(bytes, at, record.value, 2)
    const names = Object.keys(record.headers)
    at = Varint.putVarint(bytes, at, names.length * 2)
    for (const name of names) {
      at = Varint.putText(bytes, at, name, 2)
      at = Varint.putText(bytes, at, record.headers[name] ?? "", 2)
    }
    return at
  })

const encodeRecords = (records: ReadonlyArray<EventRecord>, firstTimestamp: number): Buffer => {
  let room = 0
  for (const record of records) room += roomFor(record)
  const bytes = Buffer.allocUnsafe(room)
  let end = 0
  for (const [index, record] of records.entries()) end = putRecord(bytes, end, record, index, firstTimestamp)
  return bytes.subarray(0, end)
}

const encodeBatch = async (
  records: ReadonlyArray<EventRecord>,
  compress: Transport["gzip"] | undefined,
  compressSmall: boolean
): Promise<Buffer> => {
  let first = Infinity
  let last = -Infinity
  for (const { timestamp } of records) {
    first = Math.min(first, timestamp)
    last = Math.max(last, timestamp)
  }
  const plain = encodeRecords(records, first)
  const packer = plain.length < worthCompressing && !compressSmall ? undefined : compress
  const body = packer === undefined ? plain : await packer(plain)
  const bytes = Buffer.allocUnsafe(headBytes + body.length)
  putI64(bytes, 0, 0) // base offset: the broker's to say
  bytes.writeInt32BE(bytes.length - beforeLength, 8)
  bytes.writeInt32BE(0, 12) // leader epoch
  bytes.writeInt8(2, 16) // format
  bytes.writeInt16BE(packer === undefined ? none : gzip, covered)
  bytes.writeInt32BE(records.length - 1, 23)
  putI64(bytes, 27, first)
  putI64(bytes, 35, last)
  putI64(bytes, 43, -1) // producer id: none, as nothing here is idempotent
  bytes.writeInt16BE(0, 51) // producer epoch
  bytes.writeInt32BE(0, 53) // first sequence
  bytes.writeInt32BE(records.length, 57)
  bytes.set(body, headBytes)
  bytes.writeUInt32BE(crc32C(bytes.subarray(covered)), 17)
  return bytes
}

const i16 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}

const i32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** Of a request that `isKnown`. `compress`: by gzip. Rejects with what that rejects with. */
export const encode = async (request: Request, compress: Transport["gzip"]): Promise<Buffer> => {
  const packer = request.compression === gzip ? compress : undefined
  const parts = [i16(-1), i16(request.acks), i32(request.timeout), i32(request.topicData.length)]
  for (const { partitions, topic } of request.topicData) {
    const name = Buffer.from(topic)
    parts.push(i16(name.length), name, i32(partitions.length))
    const batches = await Promise.all(partitions.map(async ({ messages, partition }) => {
      const ours = messages.filter(isOurs)
      const batch = await encodeBatch(
        ours.flatMap(({ records }) => records),
        packer,
        ours.some(({ compressSmall }) => compressSmall)
      )
      return [i32(partition), i32(batch.length), batch]
    }))
    parts.push(...batches.flat())
  }
  return Buffer.concat(parts)
}
