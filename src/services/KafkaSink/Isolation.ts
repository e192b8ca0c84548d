/**
 * Finding the record that Kafka will never take (DELIVERY.md H5): a rejected batch is split by partition, then halved, in order,
 * while the lane waits. Only a record that was refused when sent alone is poison.
 */
import type { EventRecord } from "../MarketEvent.ts"

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
  /** The first group is one record and was refused: to be written to the dead letters, then `buried`. */
  readonly verdict: Verdict | undefined
}

const seqOf = (record: EventRecord, fallback: number): number =>
  "seq" in record && typeof record.seq === "number" ? record.seq : fallback

/** One group for each partition, each in order. */
export const make = (
  records: ReadonlyArray<EventRecord>,
  firstSeq: number,
  partitions: ReadonlyArray<number>
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
  return { range: { first: firstSeq, last }, groups: [...byPartition.values()], verdict: undefined }
}

export const current = (self: Isolation): Group | undefined => self.groups[0]

export const isDone = (self: Isolation): boolean => self.groups.length === 0

/** The current group was written. */
export const accepted = (self: Isolation): Isolation => ({ ...self, groups: self.groups.slice(1) })

/** `whole`: it was the unsplit batch that was refused, and splitting it by partition was the first step already. */
export const rejected = (self: Isolation, reason: string, whole: boolean): Isolation => {
  const [group, ...rest] = self.groups
  if (group === undefined) return self
  const [record] = group.records
  const [seq] = group.seqs
  if (group.records.length === 1 && record !== undefined && seq !== undefined) {
    // A batch of one record was itself the send of that single record.
    return whole && self.groups.length > 1 ? self : { ...self, verdict: { record, seq, reason } }
  }
  if (whole && self.groups.length > 1) return self
  const middle = Math.ceil(group.records.length / 2)
  const half = (from: number, to?: number): Group => ({
    records: group.records.slice(from, to),
    seqs: group.seqs.slice(from, to)
  })
  return { ...self, groups: [half(0, middle), half(middle), ...rest] }
}

/** The refused record is in the dead letters, durably. */
export const buried = (self: Isolation): Isolation => ({ ...self, groups: self.groups.slice(1), verdict: undefined })
