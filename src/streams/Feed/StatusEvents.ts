/** Status events of one feed: ids are unique over collectors and over this feed's life (contract section 4). */
import type { Status } from "../../services/MarketEvent.ts"

export interface StatusEvents {
  /** `fields`: what this kind of event tells beside. */
  readonly make: (
    event: "connected" | "disconnected" | "gap" | "markets" | "stale",
    at: number,
    fields: Readonly<Record<string, string | number | boolean | null | ReadonlyArray<string>>>
  ) => Status
}

/** `collector`: unique to this feed's life. */
export const make = (exchange: string, collector: string): StatusEvents => {
  let n = 0
  return {
    make: (event, at, fields) => ({
      ...fields,
      type: "status",
      v: 1,
      exchange,
      event,
      id: `${exchange}:status:${collector}:${at}:${++n}`,
      receivedAt: new Date(at).toISOString()
    })
  }
}
