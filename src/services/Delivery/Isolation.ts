/**
 * Finding the record that Kafka will never take (docs/design/delivery.md H5): a rejected batch is split by partition, then halved, in order,
 * while the lane waits. Only a record that was refused when sent alone is poison.
 */
import { type EventRecord, sizeOf } from "../MarketEvent.ts"

export interface Group {
  readonly records: ReadonlyArray<EventRecord>
  readonly seqs: ReadonlyArray<number>
}

export interface Verdict {
  readonly record: EventRecord
  readonly seq: number
  readonly reason: string
}

export interface Isolation {
  /** Sequence numbers of the whole batch: pinned until it is through. */
  readonly range: { readonly first: number; readonly last: number }
  /** What is left to send, in order. */
  readonly groups: ReadonlyArray<Group>
  /** The first group is one record and was refused: to be written to the dead letters, then `deadLettered`. */
  readonly verdict: Verdict | undefined
  /** Records were refused for being too many bytes together. */
  readonly halved: boolean
  /** Bytes of the largest group that was accepted since. */
  readonly fits: number | undefined
  /** A record was refused by itself: that others were refused together with it says nothing of how many fit. */
  readonly poisoned: boolean
}

/** Kafka's words for too many bytes in one batch. */
const sizes: ReadonlySet<string> = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"])

const seqOf = (record: EventRecord, fallback: number): number =>
  "seq" in record && typeof record.seq === "number" ? record.seq : fallback

const bytesOf = ({ records }: Group): number => records.reduce((sum, record) => sum + sizeOf(record), 0)

/** In pieces of at most `fit` bytes, and one record at least. */
const cut = (group: Group, fit: number): ReadonlyArray<Group> => {
  if (bytesOf(group) <= fit) return [group]
  const pieces: Array<Group> = []
  let from = 0
  let bytes = 0
  const end = (to: number) => {
    pieces.push({ records: group.records.slice(from, to), seqs: group.seqs.slice(from, to) })
    from = to
    bytes = 0
  }
  group.records.forEach((record, at) => {
    const size = sizeOf(record)
    if (at > from && bytes + size > fit) end(at)
    bytes += size
  })
  end(group.records.length)
  return pieces
}

/** Groups of one partition each, of at most `fit` bytes, each in order. */
export const make = (
  records: ReadonlyArray<EventRecord>,
  firstSeq: number,
  partitions: ReadonlyArray<number>,
  fit = Infinity
): Isolation => {
  const byPartition = new Map<number, { records: Array<EventRecord>; seqs: Array<number> }>()
  let last = firstSeq
  records.forEach((record, index) => {
    const partition = partitions[index] ?? 0
    const group = byPartition.get(partition) ?? { records: [], seqs: [] }
    last = seqOf(record, firstSeq + index)
    group.records.push(record)
    group.seqs.push(last)
    byPartition.set(partition, group)
  })
  return {
    range: { first: firstSeq, last },
    groups: [...byPartition.values()].flatMap((group) => cut(group, fit)),
    verdict: undefined,
    halved: false,
    fits: undefined,
    poisoned: false
  }
}

export const current = (self: Isolation): Group | undefined => self.groups[0]

export const isDone = (self: Isolation): boolean => self.groups.length === 0

/** The current group was written. Once the size was what was wrong, what is left is cut to the size that passes. */
export const accepted = (self: Isolation): Isolation => {
  const [group, ...rest] = self.groups
  if (group === undefined || !self.halved) return { ...self, groups: rest }
  const fits = Math.max(self.fits ?? 0, bytesOf(group))
  return { ...self, fits, groups: rest.flatMap((left) => cut(left, fits)) }
}

/** Once it is done: bytes of one partition that pass in one request, if that was what was wrong. */
export const learned = (self: Isolation): number | undefined => self.poisoned ? undefined : self.fits

/** `whole`: it was the unsplit batch that was refused, and splitting it by partition was the first step already. */
export const rejected = (self: Isolation, reason: string, whole: boolean): Isolation => {
  const [group, ...rest] = self.groups
  if (group === undefined) return self
  const [record] = group.records
  const [seq] = group.seqs
  if (group.records.length === 1 && record !== undefined && seq !== undefined) {
    // A batch of one record was itself the send of that single record.
    return whole && self.groups.length > 1
      ? self
      : { ...self, verdict: { record, seq, reason }, poisoned: self.poisoned || sizes.has(reason) }
  }
  if (whole && self.groups.length > 1) return self
  const middle = Math.ceil(group.records.length / 2)
  const half = (from: number, to?: number): Group => ({
    records: group.records.slice(from, to),
    seqs: group.seqs.slice(from, to)
  })
  return { ...self, groups: [half(0, middle), half(middle), ...rest], halved: self.halved || sizes.has(reason) }
}

/** The refused record is in the dead letters, durably. */
export const deadLettered = (self: Isolation): Isolation => ({
  ...self,
  groups: self.groups.slice(1),
  verdict: undefined
})
