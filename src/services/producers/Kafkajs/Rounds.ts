/** One send in as many requests as a topic with a small `max.message.bytes` wants: the limit is one partition's batch in one request. */
import { type EventRecord, sizeOf } from "../../MarketEvent.ts"

/**
 * At most `fit` bytes of each partition in a round, and one record at least. A partition's records keep their order, also over rounds,
 * which go one after the other.
 */
export const of = (
  records: ReadonlyArray<EventRecord>,
  fit: number,
  partitionOf: (key: string) => number | undefined
): ReadonlyArray<ReadonlyArray<EventRecord>> => {
  if (fit === Infinity) return [records]
  const rounds: Array<Array<EventRecord>> = []
  /** Of each partition: its last round so far, and its bytes there. */
  const filled = new Map<number | undefined, { round: number; bytes: number }>()
  for (const record of records) {
    const partition = partitionOf(record.key)
    const size = sizeOf(record)
    const last = filled.get(partition) ?? { round: 0, bytes: 0 }
    filled.set(partition, last)
    if (last.bytes > 0 && last.bytes + size > fit) {
      last.round += 1
      last.bytes = 0
    }
    last.bytes += size
    const round = rounds[last.round]
    if (round === undefined) rounds.push([record])
    else round.push(record)
  }
  return rounds
}
