/**
 * The names that `Assignment` had in earlier snapshots.
 *
 * @since 0.1.0
 * @deprecated use `Assignment`
 */
export * from "./Assignment.ts"
export type { Assignment as Shard } from "./Assignment.ts"
