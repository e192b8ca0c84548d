/** A collector of a story, from its start to its end, with the sockets that it has. */
import type * as Checkpoint from "../../../../src/services/Checkpoint.ts"
import type { MarketEvent } from "../../../../src/services/MarketEvent.ts"
import type * as Time from "../../../../src/services/Time.ts"
import type * as ExchangeClock from "../../../../src/streams/ExchangeClock.ts"
import type * as Holes from "../../../../src/streams/trades/Holes.ts"
import type * as Identity from "../../../../src/streams/trades/Identity.ts"
import type { View } from "../../../../src/streams/trades/TradeGroups.ts"
import type { Issued } from "./Model.ts"

export interface Session {
  readonly id: number
  readonly view: View
  /** When it last brought anything. */
  aliveAt: Time.Instant
  /** When it last brought something of the market. */
  broughtAt: Time.Instant | null
  /** It was mute while a trade was issued that no other heard: noticed when it speaks again. */
  hasMissed: boolean
  readonly recovers: boolean
  isMute: boolean
  /** Another one was open at the same time. */
  isShared: boolean
  isListening: boolean
  isOpen: boolean
}

export interface Life {
  readonly n: number
  readonly checkpoint: Checkpoint.Checkpoint["Type"]
  readonly memory: ReadonlyMap<string, Checkpoint.MarketMemory>
  readonly identity: Identity.Identity
  readonly clock: ExchangeClock.ExchangeClock
  readonly sessions: Array<Session>
  readonly rows: Map<MarketEvent, { readonly issued: Issued; readonly place: number }>
  market:
    | { holes: Holes.State<MarketEvent>; state: Identity.MarketState; heardSince: Time.Instant | undefined }
    | undefined
  isInherited: boolean
  isForgotten: boolean
  /** Of a machine that was forgotten. */
  nextId: number | undefined
  isHanding: boolean
  isListed: boolean
  isWriting: boolean
  isToWrite: boolean
  /** A write in a second. */
  isWriteDue: boolean
  handings: Array<ReadonlyArray<MarketEvent>>
  readonly lanes: { readonly trades: Array<MarketEvent>; readonly told: Array<MarketEvent> }
  readonly isSending: { trades: boolean; told: boolean }
  position: number | undefined
  /** Told, and no trade of a socket was handed over since. */
  behind: ReadonlyArray<Holes.Gap>
}
