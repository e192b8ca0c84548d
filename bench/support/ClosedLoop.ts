/**
 * How an exchange of the bench keeps from offering more than Kafka takes: at most `room` trades are on their way, sent and not in Kafka.
 * An open loop would measure what the collector does with too much, which is to write it to the disk.
 */

export interface ClosedLoop {
  readonly room: number
  /** Trades written to the sockets since the exchange began. */
  readonly sent: number
  /** The topic's end offsets together, as they were last asked. */
  readonly inKafka: number
}

/** `Infinity`: an open loop. */
export const make = (room: number): ClosedLoop => ({ room, sent: 0, inKafka: 0 })

export const inFlight = ({ inKafka, sent }: ClosedLoop): number => Math.max(0, sent - inKafka)

/** A batch larger than the whole room goes when nothing else is on its way: else it never would. */
export const hasRoom = (loop: ClosedLoop, trades: number): boolean =>
  inFlight(loop) === 0 || inFlight(loop) + trades <= loop.room

export const sent = (loop: ClosedLoop, trades: number): ClosedLoop => ({ ...loop, sent: loop.sent + trades })

/** Answers may come in another order than they were asked for: the most that was ever told holds. */
export const told = (loop: ClosedLoop, endOffsets: number): ClosedLoop =>
  endOffsets > loop.inKafka ? { ...loop, inKafka: endOffsets } : loop
