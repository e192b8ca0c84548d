/**
 * The breaker as plain functions of (state, input, now). Every result carries the epoch of its permit: an answer to a call that was
 * let through before the last transition changes nothing (docs/design/breaker-and-retry.md "Rule 2").
 */
import * as Time from "../Time.ts"

export interface Options {
  readonly maxFailures: number
  /** How long it stays open, ms. */
  readonly openFor: number
  readonly successThreshold: number
  /** A half-open call that does not end for so long gives its place to another (docs/design/breaker-and-retry.md "Rule 7"), ms. */
  readonly probeTimeout: number
}

export type State =
  | { readonly _tag: "closed"; readonly epoch: number; readonly failures: number }
  | { readonly _tag: "open"; readonly epoch: number; readonly until: Time.Instant }
  | {
    readonly _tag: "half_open"
    readonly epoch: number
    readonly successes: number
    /** When the one probe that may be out was let through. */
    readonly probe: { readonly id: number; readonly since: Time.Instant } | undefined
  }

export interface Permit {
  readonly epoch: number
  /** Its place, if it is a probe. */
  readonly probe: number | undefined
}

export type Admission =
  | Permit & { readonly _tag: "admitted" }
  | { readonly _tag: "open"; readonly retryAfter: number }
  | { readonly _tag: "busy"; readonly retryAfter: number }

export type Outcome = "success" | "failure" | "ignored"

export const initial: State = { _tag: "closed", epoch: 0, failures: 0 }

const open = (self: State, options: Options, now: Time.Instant): State => ({
  _tag: "open",
  epoch: self.epoch + 1,
  until: Time.plus(now, options.openFor)
})

/** Whether a call may go out. `id` names it, should it become the probe. */
export const admit = (
  self: State,
  options: Options,
  now: Time.Instant,
  id: number
): readonly [Admission, State] => {
  switch (self._tag) {
    case "closed":
      return [{ _tag: "admitted", epoch: self.epoch, probe: undefined }, self]
    case "open": {
      const wait = waitOf(self, options, now)
      if (wait > 0) return [{ _tag: "open", retryAfter: wait }, self]
      const epoch = self.epoch + 1
      return [{ _tag: "admitted", epoch, probe: id }, {
        _tag: "half_open",
        epoch,
        successes: 0,
        probe: { id, since: now }
      }]
    }
    case "half_open": {
      const wait = waitOf(self, options, now)
      if (wait > 0) return [{ _tag: "busy", retryAfter: wait }, self]
      return [{ _tag: "admitted", epoch: self.epoch, probe: id }, { ...self, probe: { id, since: now } }]
    }
  }
}

/** How long a caller has to wait before it may be let through, ms. */
export const waitOf = (self: State, options: Options, now: Time.Instant): number => {
  switch (self._tag) {
    case "closed":
      return 0
    case "open":
      return Time.between(now, self.until)
    case "half_open":
      return self.probe === undefined ? 0 : options.probeTimeout - Time.between(self.probe.since, now)
  }
}

/** What became of a call. */
export const settle = (
  self: State,
  options: Options,
  now: Time.Instant,
  permit: Permit,
  outcome: Outcome
): State => {
  if (permit.epoch !== self.epoch) return self
  switch (self._tag) {
    case "closed": {
      if (outcome === "ignored") return self
      if (outcome === "success") return self.failures === 0 ? self : { ...self, failures: 0 }
      const failures = self.failures + 1
      return failures >= options.maxFailures ? open(self, options, now) : { ...self, failures }
    }
    case "open":
      return self
    case "half_open": {
      const probe = self.probe?.id === permit.probe ? undefined : self.probe
      if (outcome === "ignored") return probe === self.probe ? self : { ...self, probe }
      if (outcome === "failure") return open(self, options, now)
      const successes = self.successes + 1
      return successes >= options.successThreshold
        ? { _tag: "closed", epoch: self.epoch + 1, failures: 0 }
        : { ...self, successes, probe }
    }
  }
}

/** Opens at once; an open one stays open for as long again. */
export const trip = (self: State, options: Options, now: Time.Instant): State => open(self, options, now)
