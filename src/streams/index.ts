/** How data moves: adapters of exchanges, and feeds as plain streams. */
export * as DecodeFailure from "./DecodeFailure.ts"
export * as Exchange from "./Exchange.ts"
export { exchanges } from "./exchanges/index.ts"
export * as Feed from "./Feed.ts"
export { FeedError } from "./FeedError.ts"
export * as Pipeline from "./Pipeline.ts"
export * as Centrifugo from "./protocols/Centrifugo.ts"
export * as Json from "./protocols/Json.ts"
