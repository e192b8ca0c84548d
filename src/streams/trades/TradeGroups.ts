/**
 * Ids for trades that have none (docs/design/delivery.md "Identity of trades without an id", I1-I3): equal trades of one market are counted.
 *
 * A view is one socket session. Within a view every trade is a new one. Views that did not overlap add up: the later one counts on
 * from what the earlier ones made of a group. Views that overlapped saw the same trades: each counts for itself, and the highest
 * count decides. Plain synchronous functions of what they are told, no clock.
 */

/** A stretch of time in which one socket listened. Times are ticks of a counter: only their order matters. */
export interface View {
  readonly opened: number
  /** Undefined while it is open. */
  readonly closed: number | undefined
}

export interface Views {
  readonly open: () => View
  readonly close: (view: View) => void
}

/** One for each exchange: its views are compared with each other. */
export const makeViews = (): Views => {
  let tick = 0
  const open = new Map<View, { closed: number | undefined }>()
  return {
    open: () => {
      const view: { readonly opened: number; closed: number | undefined } = { opened: ++tick, closed: undefined }
      open.set(view, view)
      return view
    },
    close: (view) => {
      const found = open.get(view)
      if (found !== undefined) found.closed = ++tick
      open.delete(view)
    }
  }
}

/** What makes two trades equal. */
export interface Equal {
  /** Epoch ms. */
  readonly timestamp: number
  readonly side: string
  /** Canonical decimals. */
  readonly price: string
  readonly amount: string
}

export interface TradeGroups {
  /**
   * `<epoch ms>:<side>:<price>:<amount>:<n>` of a trade that a view saw; undefined if another view has seen it before.
   */
  readonly add: (view: View, trade: Equal) => string | undefined
  /**
   * The same of a history that covers the trades' timestamps as a whole (the highest count decides): for each trade, oldest first, its
   * id, or undefined if it is known. `known`: ids of groups that may be forgotten since.
   */
  readonly identifyHistory: (trades: ReadonlyArray<Equal>, known: Iterable<string>) => ReadonlyArray<string | undefined>
  /** The ids given to trades of that timestamp. */
  readonly idsAt: (timestamp: number) => ReadonlyArray<string>
  /** Groups remembered. */
  readonly size: () => number
}

/** How long, by the exchange's time, equal trades are still told apart from new ones. */
const historyWindow = 120_000

/**
 * A trade that is ahead of all others by more moves the window only once the next trade agrees: one that an exchange dates into the
 * future must not make all others old. No clock of ours has a say in it.
 */
const leap = 60_000

/** Groups of one market: more than two minutes of any market known. */
const maxGroups = 16_384

/**
 * So much time, and so many groups, are forgotten at a time. The first entry of a Map that loses one at each step is dear to find: V8
 * walks over all that were deleted since it last rebuilt it. At 80 trades a second of a market that took a twentieth of a core.
 */
const surplus = { ms: 1_000, groups: 128 }

/** Sessions that one group can tell apart; sessions are at least a second from each other, groups mostly a second long. */
const maxViews = 8

/** What nearly every group is: one view saw it so often, all of that was told, and no other knows of it. */
interface Lone {
  readonly view: View
  readonly count: number
}

/**
 * Groups of one view with the same count share one object, up to this count. At 2 500 trades a second there are 300 000 groups: with
 * objects of their own they were 93 MiB, more than all else that the collector keeps, and each went through the old generation.
 */
const maxShared = 16

interface Count {
  readonly view: View
  /** What views before it, that it did not overlap with, had made of the group. */
  readonly base: number
  count: number
}

interface Group {
  /** Highest n told. */
  told: number
  /** What is known from before all of `counts`: an earlier life of the collector, and views folded away. */
  before: number
  counts: ReadonlyArray<Count>
}

/** Joined, not concatenated: V8 keeps what a template puts together as a tree of its parts, here for two minutes. */
const keyOf = ({ amount, price, side, timestamp }: Equal): string => [timestamp, side, price, amount].join(":")

const timestampOf = (key: string): number => Number(key.slice(0, key.indexOf(":")))

const toldOf = (group: Lone | Group): number => "view" in group ? group.count : group.told

const idPattern = /^\d{1,15}:(?:buy|sell):[^:]+:[^:]+:([1-9]\d{0,8})$/

/** The n of an id; undefined if it is none. */
const counterOf = (id: string): number | undefined => {
  const match = idPattern.exec(id)
  return match === null ? undefined : Number(match[1])
}

/**
 * One market's groups. `remembered`: ids of earlier lives of the collector, without their `exchange:symbol:t:`; what does not look
 * like one is passed over. So a restart within the same second neither uses an id again nor leaves one out.
 */
export const make = (remembered: Iterable<string> = []): TradeGroups => {
  const groups = new Map<string, Lone | Group>()
  let shared: { readonly view: View; readonly lone: Array<Lone> } | undefined
  let newest = 0
  /** The last timestamp beyond a leap. */
  let ahead = 0
  /** The timestamp of the first group: it is looked at before all others. */
  let first = -Infinity

  const loneOf = (view: View, count: number): Lone => {
    if (count > maxShared) return { view, count }
    if (shared?.view !== view) shared = { view, lone: [] }
    return shared.lone[count] ??= { view, count }
  }

  const prune = (current: string): void => {
    const full = groups.size > maxGroups
    const from = newest - historyWindow
    if (!full && first >= from - surplus.ms) return
    const room = full ? maxGroups - surplus.groups : maxGroups
    for (const key of groups.keys()) {
      first = timestampOf(key)
      if (key === current || (groups.size <= room && first >= from)) return
      groups.delete(key)
    }
  }

  const total = ({ base, count }: Count): number => base + count

  const countOf = (group: Group, view: View): Count => {
    let base = group.before
    for (const entry of group.counts) {
      if (entry.view === view) return entry
      const { closed } = entry.view
      if (closed !== undefined && closed < view.opened) base = Math.max(base, total(entry))
    }
    if (group.counts.length >= maxViews) {
      const [folded, ...rest] = group.counts
      if (folded !== undefined) group.before = Math.max(group.before, total(folded))
      group.counts = rest
    }
    const fresh = { view, base, count: 0 }
    // Mostly the only one: an array that grows by `push` or a spread reserves room for sixteen more.
    group.counts = group.counts.concat([fresh])
    return fresh
  }

  const groupOf = (key: string): Group => {
    const known = groups.get(key)
    if (known !== undefined && !("view" in known)) return known
    const group: Group = known === undefined
      ? { told: 0, before: 0, counts: [] }
      : { told: known.count, before: 0, counts: [{ view: known.view, base: 0, count: known.count }] }
    groups.set(key, group)
    return group
  }

  for (const id of remembered) {
    const n = counterOf(id)
    if (n === undefined) continue
    const group = groupOf(id.slice(0, -String(n).length - 1))
    group.told = Math.max(group.told, n)
    group.before = group.told
  }

  return {
    add: (view, trade) => {
      const { timestamp } = trade
      if (timestamp <= newest + leap) newest = Math.max(newest, timestamp)
      else {
        newest = Math.max(newest, Math.min(timestamp, ahead))
        ahead = timestamp
      }
      const key = keyOf(trade)
      const known = groups.get(key)
      if (known === undefined || "view" in known && known.view === view) {
        const count = (known?.count ?? 0) + 1
        groups.set(key, loneOf(view, count))
        prune(key)
        return `${key}:${count}`
      }
      const group = groupOf(key)
      const entry = countOf(group, view)
      entry.count += 1
      const n = total(entry)
      prune(key)
      if (n <= group.told) return undefined
      group.told = n
      return `${key}:${n}`
    },
    identifyHistory: (trades, known) => {
      const counts = new Map<string, number>()
      const given = new Map<string, number>()
      for (const id of known) {
        const n = counterOf(id)
        if (n === undefined) continue
        const key = id.slice(0, -String(n).length - 1)
        given.set(key, Math.max(n, given.get(key) ?? 0))
      }
      return trades.map((trade) => {
        const key = keyOf(trade)
        const n = (counts.get(key) ?? 0) + 1
        counts.set(key, n)
        const group = groupOf(key)
        group.told = Math.max(group.told, given.get(key) ?? 0)
        if (n <= group.told) return undefined
        group.told = n
        return `${key}:${n}`
      })
    },
    idsAt: (timestamp) => {
      const ids: Array<string> = []
      for (const [key, group] of groups) {
        if (!key.startsWith(`${timestamp}:`)) continue
        for (let n = 1; n <= toldOf(group); n++) ids.push(`${key}:${n}`)
      }
      return ids
    },
    size: () => groups.size
  }
}
