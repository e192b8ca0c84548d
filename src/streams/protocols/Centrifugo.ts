/**
 * Centrifugo's JSON protocol, version 2, as a client that only listens: BitPin, and by the documents Nobitex and Ramzinex
 * (docs/design/exchanges/centrifugo.md). Recovery is asked for where the server offers it; delta is not.
 */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Message, Protocol, Remedy } from "../Exchange.ts"
import { rowDecoder } from "./Fields.ts"
import * as Json from "./Json.ts"

/**
 * What differs between its users.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  readonly topics: Protocol["topics"]
  /** Pure and total. `topic` is the channel that the publication came on, `offset` its number in it; undefined if it has none. */
  readonly publication: (topic: string, data: unknown, offset: bigint | undefined) => ReadonlyArray<Message>
  /** For topics whose publications have most of their rows in common with the one before: those rows, to be read no more. Left out: none. */
  readonly repeats?: ((topic: string, text: string) => Json.Rows | undefined) | undefined
}

const Publication = Schema.Struct({ data: Schema.Unknown, offset: Schema.optional(Schema.String) })

const Document = Schema.Struct({
  id: Schema.optional(Schema.String),
  error: Schema.optional(Schema.Struct({
    code: Schema.String,
    message: Schema.optional(Schema.String),
    temporary: Schema.optional(Schema.Boolean)
  })),
  connect: Schema.optional(Schema.Unknown),
  subscribe: Schema.optional(Schema.Struct({
    publications: Schema.optional(Schema.Array(Publication)),
    recoverable: Schema.optional(Schema.Boolean),
    epoch: Schema.optional(Schema.String),
    offset: Schema.optional(Schema.String),
    recovered: Schema.optional(Schema.Boolean)
  })),
  unsubscribe: Schema.optional(Schema.Unknown),
  push: Schema.optional(Schema.Struct({
    channel: Schema.optional(Schema.String),
    pub: Schema.optional(Publication),
    unsubscribe: Schema.optional(Schema.Struct({ code: Schema.optional(Schema.String) })),
    disconnect: Schema.optional(
      Schema.Struct({ code: Schema.optional(Schema.String), reason: Schema.optional(Schema.String) })
    )
  }))
})
type Document = typeof Document.Type

const decodeDocument = rowDecoder(Document)

/** The id of the connect command; subscriptions count on from it. */
const helloId = "1"

/** A server puts at most 16 in a frame. The bound keeps one hostile frame of pings from becoming half a million pongs. */
const maxDocuments = 1024

const failed = (reason: DecodeFailure.Reason, detail: string): Message => ({
  _tag: "failure",
  failure: DecodeFailure.make(reason, detail)
})

/** How a publication begins, up to its topic: whose it is, is to be known before it is read. */
const pushed = `{"push":{"channel":"`

/** No name of ours is longer: what is kept by names is bounded by it. */
const longestName = 128

/** Of a publication that begins as they all do; a name with a quote in it is no name of ours. */
const topicOfPush = (text: string): string | undefined => {
  if (!text.startsWith(pushed)) return undefined
  const end = text.indexOf(`"`, pushed.length)
  return end < 0 || end > pushed.length + longestName ? undefined : text.slice(pushed.length, end)
}

const pong: Message = { _tag: "ping", reply: "{}" }

/** Of a push whose other fields are not what they should be. */
const channelOf = (value: unknown): string | undefined =>
  Predicate.isRecord(value) && Predicate.isRecord(value["push"]) && typeof value["push"]["channel"] === "string"
    ? value["push"]["channel"]
    : undefined

const isEmptyObject = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0

/** Error codes of Centrifugo's client protocol; of those not named, `temporary` decides. */
const alreadySubscribed = "105"
const remedies = new Map<string, Remedy>([
  // Internal error, and too many requests.
  ["100", "soon"],
  ["111", "soon"],
  // The limit of channels of one connection.
  ["106", "elsewhere"]
])

/** Close codes 3500-3999 and 4500-4999 say that the client is to blame; so it waits longest, and comes back all the same. */
const isTerminal = (code: number): boolean => (code >= 3500 && code <= 3999) || (code >= 4500 && code <= 4999)

/**
 * A whole protocol from what is particular to one exchange.
 *
 * @since 0.1.0
 * @category constructors
 */
export const protocol = (options: Options): Protocol => {
  /** Offsets beyond what a number holds are none that we could ask for. */
  const offsetOf = (text: string | undefined): number | undefined => {
    const offset = Number(text)
    return Number.isSafeInteger(offset) && offset >= 0 ? offset : undefined
  }

  /**
   * The offset behind which publications lead to `end` without a hole. A server in cache mode calls it recovered if it has the last one, and
   * sends that one only: what lies between is missed.
   */
  const startOf = (all: ReadonlyArray<typeof Publication.Type>, end: number): number => {
    let start = end
    for (let i = all.length - 1; i >= 0 && offsetOf(all[i]?.offset) === start; i--) start -= 1
    return start
  }

  const publications = (
    topic: string,
    all: ReadonlyArray<typeof Publication.Type>
  ): ReadonlyArray<Message> =>
    all.flatMap(({ data, offset: text }) => {
      const offset = offsetOf(text)
      const messages = published(topic, data, offset === undefined ? undefined : BigInt(offset))
      // After what it stands for: whoever goes on from it has that.
      return offset === undefined ? messages : [...messages, { _tag: "moved", topic, offset }]
    })

  /** With delta compression `data` is JSON in a string; some documents print it so without. */
  const published = (topic: string, data: unknown, offset: bigint | undefined): ReadonlyArray<Message> => {
    if (typeof data !== "string") return options.publication(topic, data, offset)
    const parsed = Json.parseFrame(data)
    return Either.isLeft(parsed)
      ? [{ _tag: "failure", failure: parsed.left, topic }]
      : options.publication(topic, parsed.right, offset)
  }

  const ofPush = (push: NonNullable<Document["push"]>): ReadonlyArray<Message> => {
    if (push.disconnect !== undefined) {
      return [{ _tag: "refused", code: Number(push.disconnect.code ?? 0), message: push.disconnect.reason ?? "" }]
    }
    if (push.channel === undefined) return [failed("unknown", "a push without a channel")]
    if (push.pub !== undefined) return publications(push.channel, [push.pub])
    if (push.unsubscribe !== undefined) {
      return [{
        _tag: "unsubscribed",
        topic: push.channel,
        resubscribe: Number(push.unsubscribe.code ?? 0) >= 2500
      }]
    }
    // join, leave, message, refresh, and what later versions may bring.
    return []
  }

  const ofReply = (
    id: string,
    reply: Document,
    topicOf: (id: string) => string | undefined
  ): ReadonlyArray<Message> => {
    const topic = topicOf(id)
    if (reply.error !== undefined) {
      const { code, message = "", temporary = false } = reply.error
      if (topic !== undefined) {
        return code === alreadySubscribed
          ? [{ _tag: "subscribed", topic, position: undefined, recovered: false }]
          // By the command's id: a refusal that comes late does not undo what a later command was granted.
          : [{ _tag: "denied", id, code, message, remedy: remedies.get(code) ?? (temporary ? "soon" : "later") }]
      }
      return id === helloId
        ? [{ _tag: "refused", code: Number(code), message }]
        : [failed("unknown", `error ${code} to command ${id}`)]
    }
    if (reply.connect !== undefined) return [{ _tag: "ready" }]
    if (reply.subscribe !== undefined) {
      if (topic === undefined) return [failed("unknown", `a reply to command ${id}`)]
      const { epoch, offset: text, publications: all = [], recoverable = false } = reply.subscribe
      // What is zero is left out.
      const offset = offsetOf(text ?? "0")
      const position = recoverable && epoch !== undefined && offset !== undefined ? { epoch, offset } : undefined
      // Without a place of its own there is nothing by which it could be believed.
      const recovered = reply.subscribe.recovered === true && position !== undefined
      const after = recovered ? { after: startOf(all, position.offset) } : {}
      const answer = { _tag: "subscribed", topic, position, recovered, ...after } as const
      return [epoch === undefined ? answer : { ...answer, epoch }, ...publications(topic, all)]
    }
    return reply.unsubscribe !== undefined ? [] : [failed("unknown", `a reply to command ${id}`)]
  }

  const ofDocument = (text: string, topicOf: (id: string) => string | undefined): ReadonlyArray<Message> => {
    if (text === "{}") return [pong]
    const topic = options.repeats === undefined ? undefined : topicOfPush(text)
    const parsed = Json.parseFrame(text, topic === undefined ? undefined : options.repeats?.(topic, text))
    if (Either.isLeft(parsed)) return [{ _tag: "failure", failure: parsed.left }]
    if (isEmptyObject(parsed.right)) return [pong]
    const decoded = decodeDocument(parsed.right)
    if (Either.isLeft(decoded)) return [{ _tag: "failure", failure: decoded.left, topic: channelOf(parsed.right) }]
    if (decoded.right.push !== undefined) return ofPush(decoded.right.push)
    if (decoded.right.id !== undefined) return ofReply(decoded.right.id, decoded.right, topicOf)
    return [failed("unknown", "neither a push nor a reply")]
  }

  return {
    hello: `{"id":${helloId},"connect":{}}`,
    acknowledges: true,
    topics: options.topics,
    subscribe: (channel, id, since) =>
      JSON.stringify({ id, subscribe: since === undefined ? { channel } : { channel, recover: true, ...since } }),
    unsubscribe: (channel, id) => JSON.stringify({ id, unsubscribe: { channel } }),
    isTerminal,
    decode: (text, topicOf) => {
      if (!text.includes("\n")) return ofDocument(text, topicOf)
      const messages: Array<Message> = []
      const documents = text.split("\n", maxDocuments + 1)
      for (const document of documents.slice(0, maxDocuments)) {
        const trimmed = document.trim()
        if (trimmed !== "") messages.push(...ofDocument(trimmed, topicOf))
      }
      if (documents.length > maxDocuments) {
        messages.push(failed("too_large", `a frame of over ${maxDocuments} documents`))
      }
      return messages
    }
  }
}
