/**
 * Which partition a key goes to: murmur2 as Java's default partitioner (docs/design/contract.md "Kafka records"), by kafkajs's own function.
 *
 * kafkajs calls a partitioner with the very metadata by which it sends, once for each message and send. So the partition is
 * computed from current metadata and never stored (docs/design/delivery.md H9), and what was asked is known exactly, for the check that
 * every partition answered (docs/design/kafkajs.md "A partition that does not exist swallows records").
 */
import { type ICustomPartitioner, Partitioners, type PartitionMetadata, type RecordMetadata } from "kafkajs"

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

/** For a topic of so many partitions, whatever cluster it is on. */
export const partitionOf = (key: string, count: number): number =>
  Partitioners.DefaultPartitioner()({
    topic: "",
    partitionMetadata: Array.from({ length: count }, (_, partitionId) => ({
      partitionId,
      partitionErrorCode: 0,
      leader: 0,
      replicas: [],
      isr: []
    })),
    message: { key, value: null }
  })

export const make = (topic: string): Partitions => {
  const murmur2 = Partitioners.DefaultPartitioner()
  const cache = new Map<string, number>()
  let metadata: Array<PartitionMetadata> = []
  let asked = new Set<number>()
  const of = (key: string): number => {
    let partition = cache.get(key)
    if (partition === undefined) {
      if (cache.size >= maxKeys) cache.clear()
      partition = murmur2({ topic, partitionMetadata: metadata, message: { key, value: null } })
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
