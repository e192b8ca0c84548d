/**
 * Reads a connection between a producer and Kafka as it passes by, and tells which records were acknowledged. What it gives is what the
 * broker answered: partition and offset of the first record of each batch. Whose record lies there the topic itself tells, afterwards;
 * so nothing is unpacked meanwhile, and the same way measures every producer, without a word of its own about it.
 *
 * Layout: kafka.apache.org/protocol: a length of four bytes before each message; a request begins with its kind, version and number, an
 * answer with the number of the request.
 */

export interface Acknowledged {
  readonly topic: string
  readonly partition: number
  /** Offset of the first record of the batch. */
  readonly baseOffset: number
}

export interface Tap {
  /** Bytes of the producer, in the order they came. */
  readonly asked: (bytes: Buffer) => void
  /** Bytes of the broker; batches that it has taken. Throws on an answer of a version that it does not know. */
  readonly answered: (bytes: Buffer) => ReadonlyArray<Acknowledged>
}

const produce = 0

/** From 9 on the layout is another ("flexible"), from 13 on topics are told by number. */
const knownVersions = { min: 2, max: 8 }

/** Cuts a stream of bytes into messages; of each only its first `most` bytes are kept. */
const messages = (most: number) => {
  let head = Buffer.alloc(0)
  /** Of the message that is being passed over. */
  let left = 0
  return (bytes: Buffer): ReadonlyArray<Buffer> => {
    const out: Array<Buffer> = []
    let rest = bytes
    while (rest.length > 0) {
      if (left > 0) {
        const skipped = Math.min(left, rest.length)
        left -= skipped
        rest = rest.subarray(skipped)
        continue
      }
      const wanted = head.length < 4 ? 4 : 4 + Math.min(head.readInt32BE(0), most)
      const taken = Math.min(wanted - head.length, rest.length)
      head = Buffer.concat([head, rest.subarray(0, taken)])
      rest = rest.subarray(taken)
      if (head.length < 4) continue
      const length = head.readInt32BE(0)
      if (head.length < 4 + Math.min(length, most)) continue
      out.push(head.subarray(4))
      left = length - Math.min(length, most)
      head = Buffer.alloc(0)
    }
    return out
  }
}

const acknowledgedBy = (answer: Buffer, version: number): ReadonlyArray<Acknowledged> => {
  if (version < knownVersions.min || version > knownVersions.max) {
    throw new Error(`a produce request of version ${version}: its answer is not understood`)
  }
  let at = 4
  const i16 = () => answer.readInt16BE((at += 2) - 2)
  const i32 = () => answer.readInt32BE((at += 4) - 4)
  const i64 = () => Number(answer.readBigInt64BE((at += 8) - 8))
  const text = () => {
    const length = Math.max(0, i16())
    return answer.toString("utf8", at, at += length)
  }
  const out: Array<Acknowledged> = []
  for (let topics = i32(); topics > 0; topics--) {
    const topic = text()
    for (let partitions = i32(); partitions > 0; partitions--) {
      const partition = i32()
      const error = i16()
      const baseOffset = i64()
      i64() // when it was appended
      if (version >= 5) i64() // where the log starts
      if (version >= 8) {
        for (let errors = i32(); errors > 0; errors--) {
          i32()
          text()
        }
        text()
      }
      if (error === 0) out.push({ topic, partition, baseOffset })
    }
  }
  return out
}

/** Of one connection. */
export const make = (): Tap => {
  const requests = messages(8)
  const answers = messages(Infinity)
  /** Versions of produce requests that have no answer yet, by their number. */
  const waiting = new Map<number, number>()
  return {
    asked: (bytes) => {
      for (const request of requests(bytes)) {
        if (request.readInt16BE(0) === produce) waiting.set(request.readInt32BE(4), request.readInt16BE(2))
      }
    },
    answered: (bytes) =>
      answers(bytes).flatMap((answer) => {
        const version = waiting.get(answer.readInt32BE(0))
        if (version === undefined) return []
        waiting.delete(answer.readInt32BE(0))
        return acknowledgedBy(answer, version)
      })
  }
}

/** A batch, and when its answer passed, in any unit. */
export interface Batch {
  readonly partition: number
  readonly baseOffset: number
  readonly at: number
}

/**
 * When a record was acknowledged: with the batch of its partition that begins last at or before it. Undefined of a record before all
 * batches.
 */
export const timesOf = (batches: ReadonlyArray<Batch>): (partition: number, offset: number) => number | undefined => {
  const byPartition = new Map<number, Array<Batch>>()
  for (const batch of batches) {
    const those = byPartition.get(batch.partition)
    if (those === undefined) byPartition.set(batch.partition, [batch])
    else those.push(batch)
  }
  for (const those of byPartition.values()) those.sort((a, b) => a.baseOffset - b.baseOffset)
  return (partition, offset) => {
    const those = byPartition.get(partition) ?? []
    let low = 0
    let high = those.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((those[middle]?.baseOffset ?? Infinity) <= offset) low = middle + 1
      else high = middle
    }
    return those[low - 1]?.at
  }
}
