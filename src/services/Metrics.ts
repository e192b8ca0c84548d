/**
 * The names that `Exposition` had in earlier snapshots. Instruments take a registry first now, and are in `Instruments` only.
 *
 * @since 0.1.0
 * @deprecated use `Exposition` is what `/metrics` says, `Instruments` what parts write
 */
export * from "./Exposition.ts"
export { Exposition as Metrics } from "./Exposition.ts"
