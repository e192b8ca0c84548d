/**
 * The names that `Exposition` and `Instruments` had in earlier snapshots.
 *
 * @since 0.1.0
 * @deprecated use `Exposition` is what `/metrics` says, `Instruments` what parts write
 */
export * from "./Exposition.ts"
export { Exposition as Metrics } from "./Exposition.ts"
