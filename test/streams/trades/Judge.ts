/** What must hold of any story (`Story.ts`): nothing is missing untold, at no moment and not in the end. */
import * as assert from "node:assert/strict"
import * as ExchangeTime from "../../../src/services/ExchangeTime.ts"
import type * as Holes from "../../../src/streams/trades/Holes.ts"
import type { endings } from "./Story/Endings.ts"
import type { Issued, Told } from "./Story/Model.ts"

/** With all digits: of two times within a millisecond one is the earlier. */
const isBefore = (a: string, b: string): boolean => ExchangeTime.compare(a, b) < 0

const lies = ({ from, to }: Holes.Gap, time: string): boolean =>
  (from === null || !isBefore(time, from.text)) && (to === null || !isBefore(to.text, time))

const liesWithin = ({ from, to }: Holes.Gap, time: string): boolean =>
  (from === null || isBefore(from.text, time)) && (to === null || isBefore(time, to.text))

const wholeMs = (time: string): string => time.slice(0, "2026-06-11T12:59:45.000".length)

/** Numbers missing when a life died are told by the times that the checkpoint has: whole milliseconds, the end rounded up. */
const isRounding = ({ cause, from, to }: Holes.Gap, time: string): boolean =>
  cause === "sequence" &&
  [from, to === null ? null : { text: new Date(to.ms - 1).toISOString() }].some((edge) =>
    edge !== null && wholeMs(edge.text) === wholeMs(time)
  )

const textOf = ({ cause, complete, from, gapId, id, recovered, to }: Holes.Gap): string =>
  `${id} (${gapId}) ${from?.text} to ${to?.text} ${cause} ${recovered} ${complete}`

/** Of equal trades only their number counts. */
const groupOf = (id: string): string => id.split(":").length === 4 ? id : id.slice(0, id.lastIndexOf(":"))

const push = <K, V>(into: Map<K, Array<V>>, key: K, value: V): void => {
  const found = into.get(key)
  if (found === undefined) into.set(key, [value])
  else found.push(value)
}

export const judge = (told: Told, ending: keyof typeof endings): void => {
  const { isDiskSpared, isHistorySpared, issued, kept, setup, words } = told
  const timeOf = ({ row }: Issued): string => ExchangeTime.timeOf(row) ?? assert.fail("without a time")
  const byId = new Map(issued.map((one) => [one.id, one]))

  /** Ids delivered, by group. */
  const delivered = new Map<string, Set<string>>()
  const add = (into: Map<string, Set<string>>, id: string): void => {
    const group = groupOf(id)
    const found = into.get(group)
    if (found === undefined) into.set(group, new Set([id]))
    else found.add(id)
  }
  /** By `gapId`: the last one delivered. */
  const last = new Map<string, Holes.Gap>()
  const gapOf = new Map<string, Holes.Gap>()
  const all = new Map<string, Array<Holes.Gap>>()
  /** Ids that a socket brought when they were issued, while no other was open. */
  const alone = new Set<string>()
  /** Delivered, and in no checkpoint that was written since. */
  let unwritten = new Set<string>()
  const excusable = new Set<string>()
  /** The first trade that was known, and since then always. */
  let known: number | undefined
  let checked = 0
  /**
   * A life took over a hole without a beginning, or nothing but a hole, as the trades behind it died with the life before: the trade at
   * its edge is not known by id.
   */
  let isBare = false

  let isForgotten = false
  let isHeard = false
  /** Two listen, and the first one may be dead: nobody can say so until one of them leaves. */
  let isJoined = false
  let wasJoined = false
  /** A process that is killed in that time knows nothing of it. */
  const excused = new Set<Issued>()

  // Of the present life.
  let emitted = new Map<string, Set<string>>()
  let published = new Map<string, Holes.Gap>()
  let heardLive: Array<{ readonly issued: Issued; readonly at: number }> = []
  let heard = new Map<string, Set<string>>()
  let fromHistory = new Map<string, Set<string>>()
  let newest = -1
  let latest = -1
  let recovered = 0

  /** No connection brought it: until the end that it is missing may show later. */
  const slipped = new Set<Issued>()

  const isAccounted = (one: Issued): boolean => {
    if (slipped.has(one)) return true
    const group = groupOf(one.id)
    const rank = issued.slice(known, one.n + 1).filter(({ id }) => groupOf(id) === group).length
    const ids = new Set([...delivered.get(group) ?? [], ...emitted.get(group) ?? []])
    if (rank <= ids.size || excused.has(one)) return true
    const isIn = (gap: Holes.Gap) => !gap.complete && lies(gap, timeOf(one))
    return Array.from(last.values()).some(isIn) || Array.from(published.values()).some(isIn)
  }

  const account = (owed: ReadonlyArray<Issued>): void => {
    for (const one of owed) {
      assert.ok(isAccounted(one), `${one.id} of ${one.at} is missing in the end, and no gap says so`)
    }
  }

  for (const [at, word] of words.entries()) {
    switch (word._tag) {
      case "Begin": {
        emitted = new Map()
        published = new Map()
        heardLive = []
        heard = new Map()
        fromHistory = new Map()
        newest = -1
        latest = -1
        isJoined = false
        wasJoined = false
        const { memory } = word
        if (isForgotten) assert.strictEqual(memory, undefined, "a market that was forgotten is known again")
        const { holes = [], ids = [] } = memory ?? {}
        if (holes.some(({ from }) => ids.length === 0 || from === null)) isBare = true
        // What an earlier life had heard it does not know.
        if (ids.length === 0 && holes.length === 0) {
          known = undefined
          isHeard = false
        }
        for (const id of memory?.ids ?? []) {
          const one = byId.get(id)
          if (one !== undefined && alone.has(id) && setup.ids !== "none") heardLive.push({ issued: one, at: 0 })
        }
        checked = known ?? 0
        break
      }
      case "Heard": {
        const { isLive, isShared, issued: one } = word
        isHeard = true
        // A subscription that nobody answers is known by what it brings.
        if (known === undefined || (isLive && one.n < known)) {
          known = one.n
          checked = known
        }
        if (!isLive) break
        if (!isShared) {
          heardLive.push({ issued: one, at })
          alone.add(one.id)
        }
        // Without ids it may have been taken for one that another socket brought.
        if (!isShared || setup.ids !== "none") add(heard, one.id)
        break
      }
      case "Trade": {
        const { received, trade } = word
        assert.ok(byId.has(trade.id), `${trade.id} was never issued`)
        add(emitted, trade.id)
        if (received === undefined) {
          assert.strictEqual(trade.source, "rest")
          const group = groupOf(trade.id)
          add(fromHistory, trade.id)
          const ofGroup = issued.filter(({ id }) => groupOf(id) === group).length
          assert.ok(
            (fromHistory.get(group)?.size ?? 0) <= ofGroup - (heard.get(group)?.size ?? 0),
            `the socket brought ${trade.id}, and it is told as the history's`
          )
          break
        }
        assert.strictEqual(trade.source, "ws")
        const { issued: one, place } = received
        assert.ok(place > newest, "the order of receipt")
        newest = place
        // Whatever came before it is here, or was told.
        latest = Math.max(latest, one.n)
        if (isJoined) break
        for (; checked <= one.n; checked++) {
          const before = issued[checked]
          if (before === undefined) continue
          assert.ok(
            isAccounted(before),
            `${before.id} of ${before.at} is missing untold, and ${one.id} of ${one.at} was handed over`
          )
        }
        break
      }
      case "Gap": {
        const { gap, made } = word
        assert.ok(!gapOf.has(gap.id), `${gap.id} is the id of two events`)
        gapOf.set(gap.id, gap)
        push(all, gap.gapId, gap)
        published.set(gap.gapId, gap)
        if (gap.from !== null && gap.to !== null) assert.ok(!isBefore(gap.to.text, gap.from.text), textOf(gap))
        const inside = heardLive.filter(({ at, issued }) =>
          at < made && liesWithin(gap, timeOf(issued)) && !isRounding(gap, timeOf(issued))
        )
        assert.deepStrictEqual(inside.map(({ issued: { id } }) => id), [], `wider than what was seen: ${textOf(gap)}`)
        break
      }
      case "Behind": {
        const { gaps, kept } = word
        for (const gap of gaps) {
          assert.ok(
            last.get(gap.gapId)?.id === gap.id ||
              kept.some(({ from, gapId }) =>
                gapId === gap.gapId || (gapId === null && from === (gap.from?.text ?? null))
              ),
            `${textOf(gap)} is not durable before what is behind it: ${JSON.stringify(kept)}`
          )
        }
        break
      }
      case "Delivered": {
        const { event } = word
        if (event.type === "trade") {
          const group = groupOf(event.id)
          if (delivered.get(group)?.has(event.id) === true) {
            assert.ok(excusable.has(event.id), `${event.id} is delivered twice`)
          }
          add(delivered, event.id)
          unwritten.add(event.id)
        } else {
          const gap = gapOf.get(event.id)
          if (gap !== undefined) last.set(gap.gapId, gap)
        }
        break
      }
      case "Written":
        unwritten = new Set()
        break
      case "Slipped":
        slipped.add(word.issued)
        break
      case "Forgotten":
        isForgotten = true
        for (const ids of [...delivered.values(), ...emitted.values()]) for (const id of ids) excusable.add(id)
        if (known !== undefined) account(issued.slice(known, word.n))
        known = undefined
        break
      case "Subscribed":
        isForgotten = false
        if (word.isSecond) isJoined = true
        if (known === undefined) {
          known = word.n
          checked = known
        }
        break
      case "Lost":
        if (isJoined) wasJoined = true
        isJoined = false
        break
      case "Recovered":
        recovered += word.count
        // Of a market that nobody ever heard trade, an empty history is believed.
        if (word.isEmpty && !isHeard && known !== undefined) {
          known = word.n
          checked = known
        }
        break
      case "Died":
        isForgotten &&= word.clean
        if (isJoined || (wasJoined && !word.clean)) {
          for (const one of issued.slice(checked, latest + 1)) if (!isAccounted(one)) excused.add(one)
        }
        for (const id of unwritten) excusable.add(id)
        unwritten = new Set()
        break
    }
  }

  // In the end.
  slipped.clear()
  emitted = new Map()
  published = new Map()
  // What nobody heard behind the last trade that was, the next life asks for.
  const owed = known === undefined ? [] : issued.slice(known, ending === "silent" ? checked : undefined)
  account(owed)
  for (const [gapId, tellings] of all) {
    for (const gap of tellings) {
      assert.strictEqual(gap.from?.text, tellings[0]?.from?.text, `from of ${gapId}`)
      assert.ok(gap.recovered <= recovered, `of ${recovered} recovered: ${textOf(gap)}`)
    }
  }
  assert.deepStrictEqual(kept, [], "holes that are left")
  if (isDiskSpared || isHistorySpared || ending !== "healed") return
  /** Only a row that is older than all proves that none is missing, or with ids, the trade at the edge. */
  const isProvable = ({ from }: Holes.Gap): boolean =>
    from === null
      ? setup.date && setup.before > 0 && !isBare
      : (setup.ids !== "none" && !isBare) || issued.some((one) => isBefore(timeOf(one), from.text))
  for (const [gapId, gap] of last) if (isProvable(gap)) last.delete(gapId)
  for (const one of owed) assert.ok(isAccounted(one), `${one.id} of ${one.at} was never brought`)
  for (const gap of gapOf.values()) {
    if (!isProvable(gap)) continue
    const ofGap = all.get(gap.gapId) ?? []
    const final = ofGap.at(-1)
    if (final?.complete === false) assert.fail(`never told as filled: ${textOf(gap)}`)
  }
}
