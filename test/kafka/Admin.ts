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

/** Returns when every partition takes records: when its leader can tell where it ends. */
export const createTopic = async (address: string, topic: string, options: TopicOptions = {}): Promise<void> => {
  await withAdmin(address, (admin) =>
    admin.createTopics({
      waitForLeaders: false,
      topics: [{
        topic,
        numPartitions: options.partitions ?? 12,
        replicationFactor: options.replicationFactor ?? 1,
        configEntries: Object.entries(options.config ?? {}).map(([name, value]) => ({ name, value }))
      }]
    }))
  const end = Date.now() + 20_000
  for (;;) {
    const problem = await withAdmin(address, (admin) => admin.fetchTopicOffsets(topic)).then(
      () => undefined,
      (cause: unknown) => ({ cause })
    )
    if (problem === undefined) return
    if (Date.now() > end) throw new Error(`${topic} has no leaders`, problem)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export const deleteTopic = (address: string, topic: string): Promise<void> =>
  withAdmin(address, (admin) => admin.deleteTopics({ topics: [topic] }))
