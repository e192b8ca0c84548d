/** The exchange of the bench (`exchange-process.ts`) as its harness sees it. */
import { fork } from "node:child_process"
import * as path from "node:path"
import type { Shape } from "./Frames.ts"
import type { Batch } from "./Tap.ts"

export interface Questions {
  readonly state: object
  /** Encodes so many trades for the next `go`. */
  readonly prepare: { readonly trades: number }
  /** Sends what is prepared, with at most `room` trades on their way that `topic` does not have. */
  readonly go: { readonly room: number; readonly broker: string; readonly topic: string }
  /** Trades a second. */
  readonly pace: { readonly trades: number; readonly rate: number }
  /** Of the trades from number `from` on, of a paced stretch; and all that was acknowledged in `topic`. */
  readonly seen: { readonly from: number; readonly trades: number; readonly topic: string }
}

export interface Answers {
  readonly state: { readonly subscribed: number; readonly sent: number }
  readonly prepare: object
  readonly go: object
  readonly pace: object
  /** Milliseconds of one clock. */
  readonly seen: { readonly writtenAt: Float64Array; readonly batches: ReadonlyArray<Batch> }
}

export interface Question {
  readonly number: number
  readonly name: keyof Questions
  readonly asked: unknown
}

export interface Exchange {
  readonly pid: number
  readonly api: string
  readonly ws: string
  readonly ask: <K extends keyof Questions>(name: K, asked: Questions[K]) => Promise<Answers[K]>
  /** It is not there any more: by itself, with what it said on the console. */
  readonly hasEnded: () => boolean
  readonly end: () => Promise<void>
}

/** Between producers and Kafka: listens at `port`, and is a client of the broker's `target`. */
export interface TapPorts {
  readonly port: number
  readonly target: number
}

/** Where `scripts/bench.mjs` puts what it compiles: the loader's own threads and slower code would be measured with it. */
export const compiled = (name: string): string =>
  path.resolve(import.meta.dirname, `../../.cache/bench/support/${name}.mjs`)

export const start = async (markets: number, { fresh, window }: Shape, tap?: TapPorts): Promise<Exchange> => {
  const child = fork(compiled("exchange-process"), {
    serialization: "advanced",
    execArgv: [],
    env: {
      ...process.env,
      MARKETS: `${markets}`,
      FRESH: `${fresh}`,
      WINDOW: `${window}`,
      ...(tap === undefined ? {} : { TAP_PORT: `${tap.port}`, TAP_TARGET: `${tap.target}` })
    }
  })
  const endWithUs = () => {
    child.kill("SIGKILL")
  }
  process.once("exit", endWithUs)
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  let number = 0
  let refuse: (error: Error) => void = () => {}
  const died = new Promise<never>((_, reject) => {
    refuse = reject
  })
  died.catch(() => "told to whoever waits")
  child.once("exit", (code, signal) => refuse(new Error(`the exchange ended with ${code ?? signal}`)))
  const waiting = new Map<number, (answer: unknown) => void>()
  const port = await Promise.race([
    new Promise<number>((resolve) =>
      child.once("message", (message: { readonly port: number }) => resolve(message.port))
    ),
    died
  ])
  child.on("message", (message: { readonly number: number; readonly answer: unknown }) => {
    waiting.get(message.number)?.(message.answer)
    waiting.delete(message.number)
  })
  return {
    pid: child.pid ?? 0,
    api: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}/connection/websocket`,
    ask: <K extends keyof Questions>(name: K, asked: Questions[K]) =>
      Promise.race([
        new Promise<Answers[K]>((resolve) => {
          number += 1
          waiting.set(number, (answer) => resolve(answer as Answers[K]))
          const question: Question = { number, name, asked }
          child.send(question)
        }),
        died
      ]),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    end: async () => {
      process.off("exit", endWithUs)
      child.kill("SIGKILL")
      await exited
    }
  }
}
