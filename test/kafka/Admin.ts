/**
 * What tests ask of a cluster beside reading and writing. A connection of its own for each question.
 */
import { type Admin, Kafka, logLevel } from "kafkajs"

export const withAdmin = async <A>(address: string, use: (admin: Admin) => Promise<A>): Promise<A> => {
  const admin = new Kafka({
    clientId: "test-admin",
    brokers: [address],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2_000,
    requestTimeout: 10_000,
    retry: { retries: 0 }
  }).admin()
  try {
    await admin.connect()
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

export interface TopicOptions {
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly config?: Readonly<Record<string, string>>
}

/** Until so many partitions take records: a leader that does not know yet that it is one cannot tell where its partition ends. */
const awaitLeaders = async (address: string, topic: string, partitions: number): Promise<void> => {
  const limit = Date.now() + 20_000
  for (;;) {
    const problem = await withAdmin(address, (admin) => admin.fetchTopicOffsets(topic)).then(
      (offsets) => offsets.length === partitions ? undefined : { cause: `${offsets.length} partitions` },
      (cause: unknown) => ({ cause })
    )
    if (problem === undefined) return
    if (Date.now() > limit) throw new Error(`${topic} has no ${partitions} leaders`, problem)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Returns when every partition takes records. */
export const createTopic = async (
  address: string,
  topic: string,
  { config = {}, partitions = 12, replicationFactor = 1 }: TopicOptions = {}
): Promise<void> => {
  // For ever, also on a broker that is not ours: see `log.retention.ms` in Broker.ts.
  const configEntries = Object.entries({ "retention.ms": "-1", ...config }).map(([name, value]) => ({ name, value }))
  await withAdmin(address, (admin) =>
    admin.createTopics({
      waitForLeaders: false,
      topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }]
    }))
  await awaitLeaders(address, topic, partitions)
}

/** Returns when every partition takes records. */
export const growTopic = async (address: string, topic: string, partitions: number): Promise<void> => {
  await withAdmin(address, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] }))
  await awaitLeaders(address, topic, partitions)
}

export const deleteTopic = (address: string, topic: string): Promise<void> =>
  withAdmin(address, (admin) => admin.deleteTopics({ topics: [topic] }))
