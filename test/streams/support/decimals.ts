import { FastCheck as fc } from "effect"

/** Digits as an exchange prints them, and as they are to arrive: canonical. */
export const decimal = fc.tuple(fc.bigInt({ min: 1n, max: 10n ** 19n }), fc.integer({ min: 0, max: 8 })).map(
  ([units, places]) => {
    const digits = units.toString().padStart(places + 1, "0")
    const whole = digits.slice(0, digits.length - places)
    const fraction = places === 0 ? "" : digits.slice(-places)
    const stripped = fraction.replace(/0+$/, "")
    return {
      text: places === 0 ? whole : `${whole}.${fraction}`,
      canonical: stripped === "" ? whole : `${whole}.${stripped}`
    }
  }
)
