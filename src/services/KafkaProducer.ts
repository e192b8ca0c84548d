/**
 * The names that `Producer` and `Kafkajs` had in earlier snapshots. The errors' tags are new: `ProducerUnavailable`, `ProducerRejected`.
 *
 * @since 0.1.0
 * @deprecated use `Producer` is the tag of any output, `Kafkajs` is Kafka behind it
 */
export {
  type LaneProducer,
  type LaneProducerOptions,
  Producer as KafkaProducer,
  ProducerRejected as KafkaRejected,
  ProducerUnavailable as KafkaUnavailable
} from "./Producer.ts"
export * from "./producers/Kafkajs.ts"
