/**
 * The sink of the service by its known name: lanes (`Delivery`) that send to Kafka, each through a breaker and jittered retry, and fall
 * back to a file queue while Kafka is away. What has to be there beside: the checkpoint, the breakers and the dead letters of the program.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { Checkpoint } from "./Checkpoint.ts"
import type { CircuitBreakers } from "./CircuitBreaker.ts"
import type { DeadLetters } from "./DeadLetters.ts"
import * as Delivery from "./Delivery.ts"
import type { EventSink } from "./EventSink.ts"
import type { FileOps } from "./FileOps.ts"
import * as FileQueue from "./FileQueue.ts"
import type { Producer } from "./Producer.ts"
import * as Kafkajs from "./producers/Kafkajs.ts"

/**
 * The tag: what is known of the lanes, and how they stop.
 *
 * @since 0.1.0
 * @category tags
 */
export { Delivery as KafkaSink, type LaneStatus, layer, make, type Options, topicOf } from "./Delivery.ts"

/** What every lane needs of the program around it. */
type Around = Checkpoint | CircuitBreakers | DeadLetters | FileOps

/**
 * Over whatever `Producer` is provided, falling back to the file queue of `queue`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerQueued = (options: {
  readonly delivery: Delivery.Options
  readonly queue: FileQueue.Options
}): Layer.Layer<
  Delivery.Delivery | EventSink | FileQueue.FileQueue,
  FileQueue.FileQueueError,
  Around | Producer
> => Delivery.layer(options.delivery).pipe(Layer.provideMerge(FileQueue.layer(options.queue)))

/**
 * Over kafkajs, falling back to the file queue of `queue`. `transport` opens the sockets: `NodeKafka.transport` in Node.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKafkajs = (
  options: Parameters<typeof layerQueued>[0] & { readonly kafka: Kafkajs.Options },
  transport: Kafkajs.Transport
): Layer.Layer<Delivery.Delivery | EventSink | FileQueue.FileQueue, FileQueue.FileQueueError, Around> =>
  layerQueued(options).pipe(Layer.provide(Kafkajs.layer(options.kafka, transport)))
