/** Status events of one feed: ids are unique over collectors and over this feed's life (docs/design/contract.md "Status events"). */
import type { Status } from "../services/MarketEvent.ts"
import * as Time from "../services/Time.ts"

export interface StatusEvents {
  /** `fields`: what this kind of event tells beside. */
  readonly make: (
    event: "connected" | "disconnected" | "markets" | "stale",
    at: Time.WallTime,
    fields: Fields
  ) => Status
  /** No other event has it. */
  readonly nextId: (at: Time.WallTime) => string
  /** A `gap`: its id is known before it is made. */
  readonly gap: (id: string, at: Time.WallTime, fields: Fields) => Status
}

type Fields = Readonly<Record<string, string | number | boolean | null | ReadonlyArray<string>>>

/** `collector`: unique to this feed's life. */
export const make = (exchange: string, collector: string): StatusEvents => {
  let n = 0
  const make = (event: Status["event"], id: string, at: Time.WallTime, fields: Fields): Status => ({
    ...fields,
    type: "status",
    v: 1,
    exchange,
    event,
    id,
    receivedAt: Time.iso(at)
  })
  const nextId = (at: Time.WallTime): string => `${exchange}:status:${collector}:${Time.epochMillis(at)}:${++n}`
  return {
    make: (event, at, fields) => make(event, nextId(at), at, fields),
    nextId,
    gap: (id, at, fields) => make("gap", id, at, fields)
  }
}
