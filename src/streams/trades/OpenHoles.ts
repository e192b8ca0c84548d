/** The open holes of one market for people: what is known of each, how long it has been open, and what comes next. Plain functions. */
import type { OpenHole } from "../../services/FeedStatus.ts"
import * as Time from "../../services/Time.ts"
import * as Holes from "./Holes.ts"

/** Oldest first. */
export const open = <E>(symbol: string, state: Holes.State<E>, now: Time.Instant): ReadonlyArray<OpenHole> => {
  if (Holes.isIdle(state)) return []
  const hole = ({ cause, from, gapId, recovered, since, to }: Holes.Span) => ({
    symbol,
    cause,
    from: from?.text ?? null,
    to: to?.text ?? null,
    gapId,
    recovered,
    ageMs: Time.between(since, now)
  })
  return [
    ...state.open.map((span) => ({
      ...hole(span),
      published: true,
      waiting: 0,
      awaits: history(state, span, now)
    })),
    ...state.line.flatMap((item, i) =>
      item._tag === "Trades" ? [] : [{
        ...hole(item.span),
        // It has its id from when it is written down; nobody has been told of it yet.
        gapId: item.isTold ? item.span.gapId : null,
        published: false,
        waiting: state.line.slice(i).reduce((sum, one) => one._tag === "Trades" ? sum + one.events.length : sum, 0),
        awaits: item.outcome !== "open" && i > 0
          ? "an older hole of this market"
          : item.durable === "asked" && state.persistingSince !== null
          ? "its write to the checkpoint"
          : history(state, item.span, now)
      }]
    )
  ]
}

/** Of a hole that only the exchange can fill. */
const history = <E>(state: Holes.State<E>, { until }: Holes.Span, now: Time.Instant): string => {
  if (until === null) return "a connection that hears the market"
  if (state.asking) return "its history: asked now"
  const at = Holes.askAt(state)
  if (at === undefined) {
    return state.vanished ? "nothing: its market is gone; it is given up when it is too old" : "its history"
  }
  const wait = Time.between(now, at)
  return wait > 0 ? `its history: to be asked in ${Math.ceil(wait / 1000)} s` : "its history: to be asked in its turn"
}
