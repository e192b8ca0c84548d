/**
 * What a rejection of kafkajs means. Walks `.cause` for `type`, `code` and `name`; `retriable` says nothing (docs/design/kafkajs.md "`retriable` says nothing"), and
 * the outermost error is often only a wrapper.
 */
import * as Address from "../../Address.ts"
import { ProducerRejected, ProducerUnavailable } from "../../Producer.ts"
import { oneLine } from "../../Text.ts"

/** One error of a chain of causes. */
interface Link {
  readonly name: string
  readonly message: string
  /** Name of a broker's error code, such as `NOT_ENOUGH_REPLICAS`. */
  readonly type: string
  /** Number of a broker's error code, or Node's word, such as `ECONNREFUSED`. */
  readonly code: string | number
  /** `host:port`, empty if it is not of a connection. */
  readonly broker: string
}

/** Longer chains are cut; also ends one that bites its own tail. */
const maxDepth = 8

const text = (value: unknown): string => typeof value === "string" ? value : ""

/** Creating topics fails with an aggregate: one error for each topic. */
const firstOf = (error: object): unknown =>
  "errors" in error && Array.isArray(error.errors) ? error.errors[0] : undefined

const chainOf = (cause: unknown): ReadonlyArray<Link> => {
  const links: Array<Link> = []
  let current: unknown = cause
  while (typeof current === "object" && current !== null && links.length < maxDepth) {
    const code: unknown = "code" in current ? current.code : ""
    links.push({
      name: "name" in current ? text(current.name) : "",
      message: "message" in current ? text(current.message) : "",
      type: "type" in current ? text(current.type) : "",
      code: typeof code === "number" ? code : text(code),
      broker: "broker" in current ? Address.shown(text(current.broker)) : ""
    })
    current = "cause" in current && current.cause !== undefined ? current.cause : firstOf(current)
  }
  return links
}

/**
 * What is about a record (docs/design/delivery.md H5): everything else is an outage, or a mistyped ACL would empty the stream into a file. Time is no
 * verdict: the lane sends such a record with another.
 */
const rejections: ReadonlyMap<string, Pick<ProducerRejected, "code" | "reason">> = new Map([
  ["MESSAGE_TOO_LARGE", { code: 10, reason: "MESSAGE_TOO_LARGE" }],
  ["RECORD_LIST_TOO_LARGE", { code: 18, reason: "RECORD_LIST_TOO_LARGE" }],
  ["INVALID_TIMESTAMP", { code: 32, reason: "INVALID_TIMESTAMP" }],
  ["INVALID_RECORD", { code: 87, reason: "INVALID_RECORD" }]
])

type Reason = ProducerUnavailable["reason"]

/** In order of precedence: the first that fits any link of the chain. */
const rules: ReadonlyArray<readonly [Reason, (link: Link) => boolean]> = [
  [
    "authentication",
    ({ name, type }) =>
      name === "KafkaJSSASLAuthenticationError" || type.includes("SASL") || type === "SASL_AUTHENTICATION_FAILED"
  ],
  ["authorization", ({ type }) => type.endsWith("AUTHORIZATION_FAILED")],
  [
    "tls",
    // A file that is no PEM, or a key that is another certificate's, fails before the dial: kafkajs keeps OpenSSL's words of it only.
    ({ code, message }) =>
      /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|UNABLE_TO_|CERT_|SELF_SIGNED|DEPTH_ZERO|EPROTO$)/.test(`${code}`) ||
      /error:[0-9A-F]{8}:/.test(message)
  ],
  [
    "topic",
    ({ type }) =>
      type === "UNKNOWN_TOPIC_OR_PARTITION" || type === "INVALID_TOPIC_EXCEPTION" || type === "UNKNOWN_TOPIC_ID"
  ],
  [
    "client",
    ({ name }) =>
      /^(?:TypeError|SyntaxError|RangeError|ReferenceError|KafkaJSNotImplemented|KafkaJSInvariantViolation)$/.test(name)
  ],
  [
    "timeout",
    ({ code, message, name, type }) =>
      /^KafkaJS(?:RequestTimeoutError|Timeout|LockTimeout)$/.test(name) || type === "REQUEST_TIMED_OUT" ||
      code === "ETIMEDOUT" || message === "Connection timeout"
  ],
  [
    "cluster",
    ({ name, type }) =>
      type !== "" || /^KafkaJS(?:BrokerNotFound|NoBrokerAvailableError|(?:Topic)?MetadataNotLoaded)$/.test(name)
  ],
  [
    "connection",
    ({ code, message, name }) =>
      /^KafkaJSConnection(?:Error|ClosedError)$/.test(name) || /^E[A-Z_]+$/.test(`${code}`) ||
      message === "Broker not connected" || message === "The producer is disconnected"
  ]
]

/** What kafkajs puts in front of what Node says. */
const wrapper = /^Connection error: /

/** Which broker, what kind, and in words; nothing twice. */
const describe = ({ broker, code, message, name, type }: Link): string => {
  const words = message.replace(wrapper, "")
  const kind = type || `${code}` || (broker === "" ? name : "")
  return oneLine(
    [broker, kind].filter((part) => !words.includes(part)).concat(words).filter((part) => part !== "").join(": ")
  )
}

export const unavailable = (reason: Reason, message: string, cause?: unknown): ProducerUnavailable =>
  new ProducerUnavailable({ reason, message: oneLine(message), ...(cause === undefined ? {} : { cause }) })

export const classify = (cause: unknown): ProducerUnavailable | ProducerRejected => {
  const chain = chainOf(cause)
  for (const link of chain) {
    const rejection = rejections.get(link.type)
    if (rejection !== undefined) return new ProducerRejected({ ...rejection, message: describe(link) })
  }
  const inwardsOut = [...chain].reverse()
  for (const [reason, fits] of rules) {
    // The innermost that fits: the outer ones quote it.
    const link = inwardsOut.find(fits)
    if (link !== undefined) return unavailable(reason, describe(link), cause)
  }
  const innermost = inwardsOut[0]
  return unavailable("client", innermost === undefined ? oneLine(String(cause)) : describe(innermost), cause)
}

/** A login or a certificate was refused, theirs or ours: other ones may be where they came from by now. */
export const isRefusal = (failure: ProducerUnavailable | ProducerRejected): boolean =>
  failure._tag === "ProducerUnavailable" && (failure.reason === "authentication" || failure.reason === "tls")

/**
 * A kafkajs client that fails so never recovers: a connection born while the broker was frozen (docs/design/kafkajs.md "Connected to a frozen broker, it never recovers"), a
 * topic that was deleted, a login or a certificate that was refused (it knows no other), or a bug of its own. The next send needs a
 * new one.
 */
export const ruinsClient = (failure: ProducerUnavailable | ProducerRejected): boolean =>
  failure._tag === "ProducerUnavailable" &&
  (isRefusal(failure) || failure.reason === "topic" || failure.reason === "client" ||
    failure.message.includes("Broker not connected"))
