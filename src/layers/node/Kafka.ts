/**
 * Kafka over Node's sockets and zlib.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as net from "node:net"
import * as tls from "node:tls"
import { promisify } from "node:util"
import * as zlib from "node:zlib"
import type { Producer, ProducerUnavailable } from "../../services/Producer.ts"
import * as Kafkajs from "../../services/producers/Kafkajs.ts"
import * as NodeDial from "./Dial.ts"

const gzip = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gzip)

const keepAlive = 60_000

/**
 * Node's sockets and zlib, for `KafkaSink.layerKafkajs` and `Kafkajs.layer`.
 *
 * @since 0.1.0
 * @category constants
 */
export const transport: Kafkajs.Transport = {
  connect: ({ host, onConnect, port, ssl }) => {
    // kafkajs types `ssl` as always there; without TLS it passes nothing. No server name for an IP address (RFC 6066).
    const target = { ...NodeDial.options(), host, port }
    const socket = ssl
      ? tls.connect({ ...target, ...(net.isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
      : net.connect(target, onConnect)
    return socket.setKeepAlive(true, keepAlive).setNoDelay(true)
  },
  // In zlib's threads, not on the event loop.
  gzip: (data) => gzip(data, { level: 1 })
}

/**
 * Gives a `Producer` over kafkajs. Needs nothing, connects to nothing before the first send, and never fails.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Kafkajs.Options): Layer.Layer<Producer> => Kafkajs.layer(options, transport)

/**
 * The brokers of the cluster, as it tells its clients to dial them, by one of ours that answers.
 *
 * @since 0.1.0
 * @category operations
 */
export const advertised = (options: Kafkajs.Options): ReturnType<typeof Kafkajs.advertised> =>
  Kafkajs.advertised(options, transport)

/**
 * Of these topics, those that are compacted (`Kafkajs.compacted`). Fails with the reason `authorization` where that may not be asked,
 * with `topic` if one does not exist.
 *
 * @since 0.1.0
 * @category operations
 */
export const compacted = (
  options: Kafkajs.Options,
  topics: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, ProducerUnavailable> => Kafkajs.compacted(options, transport, topics)

/**
 * Paths of PEM files, as librdkafka names them.
 *
 * @since 0.1.0
 * @category options
 */
export interface SslLocations {
  readonly ca?: string | undefined
  readonly certificate?: string | undefined
  readonly key?: string | undefined
}

/**
 * The texts of these files. Fails if one cannot be read.
 *
 * @since 0.1.0
 * @category operations
 */
export const readSsl = Effect.fnUntraced(function*(
  locations: SslLocations
): Effect.fn.Return<Kafkajs.Ssl, PlatformError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const read = (path: string | undefined) => path === undefined ? Effect.succeed(undefined) : fs.readFileString(path)
  const [ca, certificate, key] = yield* Effect.all([
    read(locations.ca),
    read(locations.certificate),
    read(locations.key)
  ])
  return { ca, certificate, key: key === undefined ? undefined : Redacted.make(key) }
})
