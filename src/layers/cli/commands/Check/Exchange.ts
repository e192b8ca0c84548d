/** The way to an exchange: by the proxy or by name and port, one handshake, and its clock. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Address from "../../../../services/Address.ts"
import * as FeedStatus from "../../../../services/FeedStatus.ts"
import type * as AppConfig from "../../../AppConfig.ts"
import { targetOf } from "../../../node/NoProxy.ts"
import * as NodeProxy from "../../../node/Proxy.ts"
import * as NodeTunnel from "../../../node/Tunnel.ts"
import * as Alone from "../Alone.ts"
import * as ClockOffset from "./ClockOffset.ts"
import { type Finding, reachable } from "./Finding.ts"
import { Problem, problem } from "./Problem.ts"

/** Milliseconds. */
const maxOffset = 1_000

const urlsOf = ({ endpoints: { apiUrl, wsUrl } }: AppConfig.Chosen): ReadonlyArray<string> => [apiUrl, wsUrl]

/** Those of its addresses that are reached through the proxy. */
export const viaProxy = (settings: AppConfig.Settings, exchange: AppConfig.Chosen): ReadonlyArray<string> =>
  urlsOf(exchange).filter((url) => settings.proxy.https !== undefined && !NodeProxy.isDirect(url, settings.proxy.no))

/** Each host once. */
const targetsOf = (urls: ReadonlyArray<string>): ReadonlyArray<Address.Address> =>
  Array.from(new Map(urls.map(targetOf).map((target) => [Address.format(target), target])).values())

/** A tunnel to each host, opened and closed again. */
export const tunnels = (settings: AppConfig.Settings, exchanges: ReadonlyArray<AppConfig.Chosen>): Finding =>
  Effect.gen(function*() {
    const proxy = new URL(settings.proxy.https ?? "")
    const targets = targetsOf(exchanges.flatMap((exchange) => viaProxy(settings, exchange)))
    yield* Effect.forEach(targets, (target) =>
      Effect.tryPromise({
        try: (signal) => NodeTunnel.open(proxy, target, signal).then((socket) => socket.destroy()),
        catch: (error) =>
          new Problem({
            message: `${problem(error).message.replace(/^proxy /, "")}, asked for ${Address.format(target)}`
          })
      }), { concurrency: "unbounded", discard: true })
    return `a tunnel to each of ${targets.map(Address.format).join(", ")}`
  })

/** From the name to the data, and whether its clock is ours. `onListed` is told how many markets are chosen, once that is known. */
export const connected = (
  settings: AppConfig.Settings,
  chosen: AppConfig.Chosen,
  onListed: (count: number) => void
): Finding =>
  Effect.gen(function*() {
    const proxied = viaProxy(settings, chosen)
    const direct = urlsOf(chosen).filter((url) => !proxied.includes(url))
    yield* Effect.forEach(targetsOf(direct), (target) => reachable(chosen.exchange.id, target), {
      concurrency: "unbounded",
      discard: true
    })
    const found = yield* handshake(settings, chosen, onListed)
    const ahead = yield* ClockOffset.measure(chosen.endpoints.apiUrl, settings.proxy)
    if (ahead === undefined || Math.abs(ahead) <= maxOffset) return found
    const seconds = `${(Math.abs(ahead) / 1_000).toFixed(1)}s ${ahead > 0 ? "ahead of" : "behind"}`
    return yield* new Problem({ message: `our clock is ${seconds} the exchange's (${found})` })
  })

const handshake = (
  settings: AppConfig.Settings,
  chosen: AppConfig.Chosen,
  onListed: (count: number) => void
): Finding =>
  Effect.suspend(() => {
    const status = FeedStatus.make([chosen.exchange.id])
    const { exchange: { books } } = chosen
    if (books === undefined && settings.channels.every((channel) => channel === "books")) {
      return Effect.succeed("it has no order books here, and CHANNELS asks for nothing else: no WebSocket is opened")
    }
    const connects = Alone.events(settings, chosen).pipe(
      Stream.filter((event) => event.type === "status" && event.event === "connected"),
      Stream.runHead
    )
    /** Where trades are asked for, and nothing else is wanted: an answer is what there is to wait for. */
    const isAnswered = () => status.exchanges().some((one) => one.polling?.isAlone === true && one.lastDataAt !== null)
    const answers = Effect.repeat(Effect.delay(Effect.sync(isAnswered), "50 millis"), { until: (is) => is })
    return connects.pipe(
      Effect.raceFirst(Effect.as(answers, Option.none())),
      Effect.provideService(FeedStatus.FeedStatus, status),
      // Less than the patience of all: then it is known why.
      Effect.timeoutOption("12 seconds"),
      Effect.map(Option.flatten),
      Effect.tap(() =>
        Effect.sync(() => {
          const count = status.exchanges()[0]?.listed
          if (typeof count === "number") onListed(count)
        })
      ),
      Effect.flatMap(Option.match({
        onNone: () => {
          const [one] = status.exchanges()
          if (isAnswered()) return Effect.succeed(`${one?.listed ?? 0} markets, trades by REST, no WebSocket is used`)
          // As the service has it: no socket is opened, and nothing is wrong.
          return one?.api.ok === true && one.listed === 0 && one.lastError === null
            ? Effect.succeed("API answers; MARKETS and SHARD choose none of its markets, so no WebSocket is opened")
            : Effect.fail(new Problem({ message: Alone.whyUnreached(status) }))
        },
        onSome: () => Effect.succeed(`${status.exchanges()[0]?.listed ?? 0} markets, WebSocket connected`)
      }))
    )
  })
