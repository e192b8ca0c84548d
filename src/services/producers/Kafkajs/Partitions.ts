/**
 * Which partition a key goes to: `Murmur2`, the hash that kafkajs's own default has too.
 *
 * kafkajs calls a partitioner with the very metadata by which it sends, once for each message and send. So the partition is
 * computed from current metadata and never stored (docs/design/delivery.md H9), and what was asked is known exactly, for the check that
 * every partition answered (docs/design/kafkajs.md "A partition that does not exist swallows records").
 */
import type { ICustomPartitioner, PartitionMetadata, RecordMetadata } from "kafkajs"
import { partitionOf } from "../../Murmur2.ts"

/** Keys are markets, hundreds to thousands; the bound is for whoever sends something else. */
const maxKeys = 50_000

type Answer = Pick<RecordMetadata, "partition" | "errorCode">

export interface Partitions {
  readonly partitioner: ICustomPartitioner
  /** Starts the record of one send. */
  readonly begin: () => void
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
      const partition = of(String(message.key))
      asked.add(partition)
      return partition
    },
    begin: () => {
      asked = new Set()
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
