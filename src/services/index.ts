/** What the program is: events, breaker, retry, queue, producers, delivery, ledger, health, metrics. */
export * as Assignment from "./Assignment.ts"
export * as Checkpoint from "./Checkpoint.ts"
export * as CircuitBreaker from "./CircuitBreaker.ts"
export * as DeadLetters from "./DeadLetters.ts"
export * as Decimal from "./Decimal.ts"
export * as Delivery from "./Delivery.ts"
export * as DirectoryLock from "./DirectoryLock.ts"
export * as EventSink from "./EventSink.ts"
export * as ExchangeTime from "./ExchangeTime.ts"
export * as Exposition from "./Exposition.ts"
export * as FeedStatus from "./FeedStatus.ts"
export * as FileOps from "./FileOps.ts"
export * as FileQueue from "./FileQueue.ts"
export * as Health from "./Health.ts"
export * as Instruments from "./Instruments.ts"
export * as KafkaSink from "./KafkaSink.ts"
export * as Ledger from "./Ledger.ts"
export * as MarketEvent from "./MarketEvent.ts"
export * as Producer from "./Producer.ts"
export * as FileProducer from "./producers/File.ts"
export * as Kafkajs from "./producers/Kafkajs.ts"
export * as RetryPolicy from "./RetryPolicy.ts"
export * as Time from "./Time.ts"

/** @deprecated use `FileProducer` */
export * as FileOutput from "./producers/File.ts"
/** @deprecated use `Producer` and `Kafkajs` */
export * as KafkaProducer from "./KafkaProducer.ts"
/** @deprecated use `Exposition` and `Instruments` */
export * as Metrics from "./Metrics.ts"
/** @deprecated use `Assignment` */
export * as Shard from "./Shard.ts"
