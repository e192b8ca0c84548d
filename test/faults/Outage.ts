/** A broker of one's own, and trades while it is away. */
import { cleanups, type Stage } from "../e2e/Stage.ts"
import * as Broker from "../kafka/Broker.ts"
import * as FaultProxy from "../kafka/FaultProxy.ts"

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export const startBroker = async (options: Broker.Options = {}): Promise<Broker.Broker> => {
  const broker = await Broker.make(options)
  cleanups.push(async () => {
    broker.thaw()
    await broker.stop()
    broker.remove()
  })
  await broker.start()
  return broker
}

/** One that is reached by a proxy only, which does to it what networks do. */
export const startBrokerBehindProxy = async (): Promise<
  { readonly broker: Broker.Broker; readonly proxy: FaultProxy.FaultProxy }
> => {
  const proxy = await FaultProxy.make()
  cleanups.push(proxy.close)
  const broker = await startBroker({ behindProxy: proxy.port })
  proxy.to(broker.proxiedPort)
  return { broker, proxy }
}

/** About `perSecond` trades each second for so long. */
export const flow = async (s: Stage, perSecond: number, ms: number): Promise<void> => {
  const stops = s.exchanges.map((exchange) => exchange.flood(perSecond / s.exchanges.length))
  await pause(ms)
  for (const stop of stops) stop()
}
