/**
 * One broker for the whole suite; tests find its address by `inject("kafkaBroker")`. A test that kills or freezes a broker
 * starts its own (`Broker.ts`).
 */
import type { TestProject } from "vitest/node"
import * as Broker from "./Broker.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** `host:port`. */
    readonly kafkaBroker: string
  }
}

export default async (project: TestProject): Promise<(() => Promise<void>) | undefined> => {
  const running = process.env["KAFKA_TEST_BROKER"]
  if (running !== undefined && running !== "") {
    project.provide("kafkaBroker", running)
    return undefined
  }
  const broker = await Broker.make()
  await broker.start()
  project.provide("kafkaBroker", broker.address)
  return async () => {
    await broker.stop()
    broker.remove()
  }
}
