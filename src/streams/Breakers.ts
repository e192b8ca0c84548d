/** The two circuit breakers of an exchange, by name: what their state stands under in health, metrics and events. */
import type { Options } from "../services/CircuitBreaker.ts"
import type { Exchange } from "./Exchange.ts"

export const optionsOf = (
  { id }: Exchange,
  group: "api" | "ws",
  settings: Pick<Options, "maxFailures" | "timeout" | "successThreshold">
): Options => ({ ...settings, name: `${id}_${group}`, group, exchange: id })
