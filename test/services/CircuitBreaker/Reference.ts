/**
 * The breaker once more, told from the outside: what the rules say (docs/design/breaker-and-retry.md), as a history of what happened instead
 * of a state that is carried on. Slow, and made of other parts than the one it judges.
 */
export interface Options {
  readonly maxFailures: number
  readonly openFor: number
  readonly successThreshold: number
  readonly probeTimeout: number
}

type Outcome = "success" | "failure" | "ignored"

interface Call {
  readonly period: number
  readonly since: number
  settled: Outcome | undefined
}

/** A stretch of time in one state: what counted since it began decides when it ends. */
interface Period {
  readonly state: "closed" | "open" | "half_open"
  readonly since: number
  readonly counted: Array<Outcome>
}

export class Reference {
  readonly periods: Array<Period> = [{ state: "closed", since: 0, counted: [] }]
  readonly calls: Array<Call> = []
  readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  get current(): Period {
    const last = this.periods.at(-1)
    if (last === undefined) throw new Error("no period")
    return last
  }

  /** States passed through, an open one that was opened again counted once. */
  get states(): ReadonlyArray<string> {
    return this.periods.map(({ state }) => state).filter((state, index, all) => state !== all[index - 1])
  }

  private enter(state: Period["state"], now: number): void {
    this.periods.push({ state, since: now, counted: [] })
  }

  private busy(now: number): boolean {
    const here = this.calls.filter(({ period }) => period === this.periods.length)
    const newest = here.at(-1)
    return newest !== undefined && newest.settled === undefined && now - newest.since < this.options.probeTimeout
  }

  admit(now: number): number | "open" | "busy" {
    if (this.current.state === "open") {
      if (now - this.current.since < this.options.openFor) return "open"
      this.enter("half_open", now)
    }
    if (this.current.state === "half_open" && this.busy(now)) return "busy"
    this.calls.push({ period: this.periods.length, since: now, settled: undefined })
    return this.calls.length - 1
  }

  settle(index: number, outcome: Outcome, now: number): void {
    const call = this.calls[index]
    if (call === undefined) return
    if (call.settled !== undefined && !(call.settled === "success" && outcome === "success")) return
    call.settled = outcome
    if (call.period !== this.periods.length) return
    const { counted, state } = this.current
    counted.push(outcome)
    const results = counted.filter((one) => one !== "ignored")
    if (state === "closed") {
      const last = results.slice(-this.options.maxFailures)
      if (last.length === this.options.maxFailures && last.every((one) => one === "failure")) this.enter("open", now)
    } else if (state === "half_open") {
      if (outcome === "failure") this.enter("open", now)
      else if (results.length >= this.options.successThreshold) this.enter("closed", now)
    }
  }

  trip(now: number): void {
    this.enter("open", now)
  }
}
