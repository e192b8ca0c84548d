/**
 * Which partition a key goes to: `Murmur2`, the hash that kafkajs's own default has too.
 *
 * kafkajs calls a partitioner with the very metadata by which it sends, once for each message and send. So the partition is
 * computed from current metadata and never stored (docs/design/delivery.md H9), and what was asked is known exactly, for the check that
 * every partition answered (docs/design/kafkajs.md "A partition that does not exist swallows records").
 */
import type { ICustomPartitioner, PartitionMetadata, RecordMetadata } from "kafkajs"
import type { EventRecord } from "../../MarketEvent.ts"
import { partitionOf } from "../../Murmur2.ts"
import { RecordsMessage } from "./ProduceRequest.ts"

/** Keys are markets, hundreds to thousands; the bound is for whoever sends something else. */
const maxKeys = 50_000

type Answer = Pick<RecordMetadata, "partition" | "errorCode">

/** The number of partitions is another one than that by which the records were put together: they may not belong together now. */
export class PartitionsChanged extends Error {
  constructor(before: number, now: number) {
    super(`the topic has ${now} partitions where it had ${before}`)
  }
}

export interface Partitions {
  /** Throws `PartitionsChanged` before anything is sent. */
  readonly partitioner: ICustomPartitioner
  /** Starts the record of one send. */
  readonly begin: () => void
  /**
   * Records in the messages that kafkajs is to send: one for each partition, in the records' order; one for each record (`apart`) where the
   * partitions are not known yet, or have changed.
   */
  readonly messages: (
    records: ReadonlyArray<EventRecord>,
    compressSmall: boolean,
    apart?: boolean
  ) => Array<RecordsMessage>
  /** The partitions to which messages went since `begin` and which the answers do not acknowledge; undefined if none was asked. */
  readonly unanswered: (answers: ReadonlyArray<Answer>) => ReadonlyArray<number> | undefined
  /** Undefined until kafkajs has seen the topic's metadata. */
  readonly of: (key: string) => number | undefined
  /** Undefined until kafkajs has seen the topic's metadata. */
  readonly count: () => number | undefined
}

export const make = (): Partitions => {
  const cache = new Map<string, number>()
  let metadata: Array<PartitionMetadata> = []
  let asked = new Set<number>()
  const of = (key: string): number => {
    let partition = cache.get(key)
    if (partition === undefined) {
      if (cache.size >= maxKeys) cache.clear()
      partition = partitionOf(key, metadata.length)
      cache.set(key, partition)
    }
    return partition
  }
  return {
    partitioner: () => ({ message, partitionMetadata }) => {
      if (partitionMetadata.length !== metadata.length) cache.clear()
      metadata = partitionMetadata
      if (message instanceof RecordsMessage && (message.partitions ?? metadata.length) !== metadata.length) {
        throw new PartitionsChanged(message.partitions ?? 0, metadata.length)
      }
      const partition = of(String(message.key))
      asked.add(partition)
      return partition
    },
    begin: () => {
      asked = new Set()
    },
    messages: (records, compressSmall, apart = false) => {
      const count = metadata.length
      if (apart || count === 0) return records.map((record) => new RecordsMessage([record], undefined, compressSmall))
      const ofPartition: Array<[EventRecord, ...Array<EventRecord>] | undefined> = []
      for (const record of records) {
        const partition = of(record.key)
        const others = ofPartition[partition]
        if (others === undefined) ofPartition[partition] = [record]
        else others.push(record)
      }
      return ofPartition.flatMap((some) => some === undefined ? [] : [new RecordsMessage(some, count, compressSmall)])
    },
    unanswered: (answers) => {
      if (asked.size === 0) return undefined
      const answered = new Set(answers.filter(({ errorCode }) => errorCode === 0).map(({ partition }) => partition))
      return Array.from(asked).filter((partition) => !answered.has(partition))
    },
    of: (key) => metadata.length === 0 ? undefined : of(key),
    count: () => metadata.length === 0 ? undefined : metadata.length
  }
}
