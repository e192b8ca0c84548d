/** Where everything that goes from an exchange to Kafka is measured: one broker for a benchmark, exchange and subject anew for each run. */
import { type Admin, Kafka, logLevel } from "kafkajs"
import { createTopic } from "../../test/kafka/Admin.ts"
import * as Broker from "../../test/kafka/Broker.ts"
import * as Jvm from "../../test/kafka/Jvm.ts"
import * as Cores from "./Cores.ts"
import * as Exchange from "./Exchange.ts"
import * as Frames from "./Frames.ts"
import { rounded } from "./Statistics.ts"
import * as Subject from "./Subject.ts"
import * as Threads from "./Threads.ts"

export interface Run {
  readonly subject: Subject.SubjectName
  readonly shape: Frames.ShapeName
  readonly markets: number
  readonly env?: Readonly<Record<string, string>>
}

export interface Scene {
  readonly exchange: Exchange.Exchange
  readonly subject: Subject.Subject
  readonly topic: string
  /** From the start of the process until the exchange had all its subscriptions, ms. */
  readonly startMs: number
  /** Records in the topic. */
  readonly inKafka: () => Promise<number>
  /** Until Kafka has so many: how many it has then, and when it was asked (`performance.now()`). */
  readonly until: (records: number, limit?: number) => Promise<{ readonly count: number; readonly at: number }>
  /** Closed loop, with at most `room` on their way, from now until Kafka has all of them. */
  readonly fullSpeed: (trades: number, room: number) => Promise<FullSpeed>
}

export interface FullSpeed {
  readonly perSecond: number
  /** Of the subject, a trade. */
  readonly cpu: Threads.Cpu
  /** Of the exchange, a trade. */
  readonly exchangeCpu: number
  /** Records that Kafka has twice. */
  readonly twice: number
}

export interface Stage {
  readonly broker: Broker.Broker
  readonly cores: Cores.Plan | undefined
  readonly run: <A>(run: Run, scene: (scene: Scene) => Promise<A>) => Promise<A>
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** One JSON object a line: `scripts/bench.mjs` keeps them. */
export const print = (line: Readonly<Record<string, unknown>>): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Of a thread's CPU, as they are printed: microseconds. */
export const printed = ({ all, libuv, main, v8 }: Threads.Cpu) => ({
  cpuUs: rounded(all),
  mainUs: rounded(main),
  v8Us: rounded(v8),
  libuvUs: rounded(libuv)
})

/** How often Kafka is asked for its end offsets, ms. */
const poll = 20

const numberOfPolls = (limit: number): number => Math.ceil(limit / poll)

const sceneOf = (
  stage: { readonly broker: Broker.Broker; readonly admin: Admin },
  exchange: Exchange.Exchange,
  subject: Subject.Subject,
  topic: string,
  startMs: number
): Scene => {
  const inKafka = async () => {
    const offsets = await stage.admin.fetchTopicOffsets(topic)
    return offsets.reduce((sum, { offset }) => sum + Number(offset), 0)
  }
  const until = async (records: number, limit = 120_000) => {
    for (let left = numberOfPolls(limit); left > 0; left--) {
      const count = await inKafka()
      if (count >= records) return { count, at: performance.now() }
      if (subject.ended() !== undefined) throw new Error(`the subject ended with ${subject.ended()}\n${subject.tail()}`)
      if (exchange.hasEnded()) throw new Error("the exchange has ended")
      await pause(poll)
    }
    throw new Error(`Kafka has ${await inKafka()} of ${records} after ${limit} ms\n${subject.tail()}`)
  }
  return {
    exchange,
    subject,
    topic,
    startMs,
    inKafka,
    until,
    fullSpeed: async (trades, room) => {
      const before = await inKafka()
      await exchange.ask("prepare", { trades })
      await pause(200)
      subject.forgetPeak()
      const [cpu, exchangeCpu] = [Threads.cpuOf(subject.pid), Threads.cpuOf(exchange.pid)]
      const began = performance.now()
      await exchange.ask("go", { room, broker: stage.broker.address, topic })
      const { at, count } = await until(before + trades)
      return {
        perSecond: Math.round(trades / (at - began) * 1000),
        cpu: Threads.between(cpu, Threads.cpuOf(subject.pid), trades),
        exchangeCpu: Threads.between(exchangeCpu, Threads.cpuOf(exchange.pid), trades).all,
        twice: count - before - trades
      }
    }
  }
}

/** `tapped`: subjects reach Kafka through the exchange's tap, which notes when what was acknowledged. */
export const withStage = async (
  { tapped = false }: { readonly tapped?: boolean },
  use: (stage: Stage) => Promise<void>
): Promise<void> => {
  // By `exit`, which ends what was started here.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
  const cores = Cores.divide()
  const tapPort = tapped ? await Jvm.freePort() : undefined
  const broker = await Broker.make(tapPort === undefined ? {} : { behindProxy: tapPort })
  let runs = 0
  try {
    await broker.start()
    const admin = new Kafka({ clientId: "bench", brokers: [broker.address], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const run: Stage["run"] = async ({ env = {}, markets, shape, subject: name }, scene) => {
      runs += 1
      const prefix = `bench${runs}`
      const topic = Subject.topicOf(name, prefix)
      const topics = Subject.isOurs(name) ? [topic, `${prefix}.status.v1`] : [topic]
      await Promise.all(topics.map((one) => createTopic(broker.address, one)))
      const tap = tapPort === undefined ? undefined : { port: tapPort, target: broker.proxiedPort }
      const exchange = await Exchange.start(markets, Frames.shapes[shape], tap)
      try {
        const began = performance.now()
        const address = tapPort === undefined ? broker.address : `127.0.0.1:${tapPort}`
        const subject = Subject.start({ name, exchange, broker: address, markets, prefix, cores, env })
        try {
          while ((await exchange.ask("state", {})).subscribed < markets) {
            if (subject.ended() !== undefined || performance.now() - began > 60_000) {
              throw new Error(`not all is subscribed:\n${subject.tail()}`)
            }
            await pause(5)
          }
          const startMs = performance.now() - began
          // What it does once, after the start: histories are asked for, the first checkpoint is written.
          await pause(700)
          return await scene(sceneOf({ broker, admin }, exchange, subject, topic, startMs))
        } finally {
          await subject.end()
        }
      } finally {
        await exchange.end()
        await admin.deleteTopics({ topics }).catch((error: unknown) => console.error(`topics stay: ${String(error)}`))
      }
    }
    await use({ broker, cores, run })
    await admin.disconnect()
  } finally {
    await broker.stop()
    broker.remove()
  }
}
