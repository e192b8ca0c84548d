/**
 * Which topic lives on which connection: every topic on exactly one, where it stays, so that a market's trades keep their order.
 * A plain function of what is and what is wanted.
 */
import type { Subject } from "../Channel.ts"

export interface Shard {
  readonly id: number
  /** Topics of other kinds are not put on it (`Protocol.connection`). */
  readonly kind: string
  readonly topics: ReadonlyMap<string, Subject>
  /** Places taken: at least the topics; more if topics that left still hold theirs on the living connection. */
  readonly taken: number
}

export interface Plan {
  readonly leave: ReadonlyArray<{ readonly shard: number; readonly topic: string }>
  /** Shards that are not there yet count on from the highest id. */
  readonly join: ReadonlyArray<{ readonly shard: number; readonly topic: string; readonly wanted: Wanted }>
}

export interface Wanted extends Subject {
  readonly kind: string
  /** Topics of a connection of that kind, where they are fewer than of others. */
  readonly capacity?: number | undefined
}

/** `wanted` is in the exchange's own order; `capacity`: topics of one connection; `nextId`: of the next new shard. */
export const plan = (
  shards: ReadonlyArray<Shard>,
  wanted: ReadonlyMap<string, Wanted>,
  capacity: number,
  nextId: number
): Plan => {
  const leave: Array<Plan["leave"][number]> = []
  const join: Array<Plan["join"][number]> = []
  const placed = new Set<string>()
  /** By kind, then by shard. */
  const taken = new Map<string, Map<number, number>>()
  const takenOf = (kind: string): Map<number, number> => {
    let found = taken.get(kind)
    if (found === undefined) taken.set(kind, found = new Map())
    return found
  }
  for (const { id, kind, taken: count, topics } of shards) {
    takenOf(kind).set(id, count)
    for (const topic of topics.keys()) {
      if (wanted.has(topic)) placed.add(topic)
      // Its place is not given away in the same step: the connection may still hold it.
      else leave.push({ shard: id, topic })
    }
  }
  let next = nextId
  for (const [{ capacity: own = capacity, kind }, topics] of groupsOf(wanted, placed)) {
    const most = Math.min(own, capacity)
    const places = takenOf(kind)
    let shard: number | undefined
    for (const [id, count] of places) {
      if (count + topics.length <= most) {
        shard = id
        break
      }
    }
    shard ??= next++
    places.set(shard, (places.get(shard) ?? 0) + topics.length)
    for (const [topic, one] of topics) join.push({ shard, topic, wanted: one })
  }
  return { leave, join }
}

/**
 * Those that are to be placed, in their order: a market's topics of one channel go together, whatever the capacity, since one session has to
 * hear both sides of a book to know that it is true.
 */
const groupsOf = (
  wanted: ReadonlyMap<string, Wanted>,
  placed: ReadonlySet<string>
): Iterable<readonly [Wanted, ReadonlyArray<readonly [topic: string, wanted: Wanted]>]> => {
  const groups = new Map<string, Array<readonly [string, Wanted]>>()
  for (const [topic, one] of wanted) {
    if (placed.has(topic)) continue
    const key = `${one.channel} ${one.market.symbol}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [[topic, one]])
    else group.push([topic, one])
  }
  return Array.from(groups.values()).flatMap((group) => group[0] === undefined ? [] : [[group[0][1], group] as const])
}
