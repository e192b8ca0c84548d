/**
 * Which topic lives on which connection: every topic on exactly one, where it stays, so that a market's trades keep their order.
 * A plain function of what is and what is wanted.
 */
import type { Market } from "../Exchange.ts"

export interface Shard {
  readonly id: number
  readonly topics: ReadonlyMap<string, Market>
  /** Places taken: at least the topics; more if topics that left still hold theirs on the living connection. */
  readonly taken: number
}

export interface Plan {
  readonly leave: ReadonlyArray<{ readonly shard: number; readonly topic: string }>
  /** Shards that are not there yet count on from the highest id. */
  readonly join: ReadonlyArray<{ readonly shard: number; readonly topic: string; readonly market: Market }>
}

/** `wanted` is in the exchange's own order; `capacity`: topics of one connection; `nextId`: of the next new shard. */
export const plan = (
  shards: ReadonlyArray<Shard>,
  wanted: ReadonlyMap<string, Market>,
  capacity: number,
  nextId: number
): Plan => {
  const leave: Array<Plan["leave"][number]> = []
  const join: Array<Plan["join"][number]> = []
  const placed = new Set<string>()
  const taken = new Map<number, number>()
  for (const { id, taken: count, topics } of shards) {
    taken.set(id, count)
    for (const topic of topics.keys()) {
      if (wanted.has(topic)) placed.add(topic)
      // Its place is not given away in the same step: the connection may still hold it.
      else leave.push({ shard: id, topic })
    }
  }
  let next = nextId
  for (const [topic, market] of wanted) {
    if (placed.has(topic)) continue
    let shard: number | undefined
    for (const [id, count] of taken) {
      if (count < capacity) {
        shard = id
        break
      }
    }
    shard ??= next++
    taken.set(shard, (taken.get(shard) ?? 0) + 1)
    join.push({ shard, topic, market })
  }
  return { leave, join }
}
