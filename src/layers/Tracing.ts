/**
 * Traces over OTLP (HTTP, JSON), by the variables that OpenTelemetry names: a span for each batch that goes to Kafka or to the disk, for
 * each connection of an exchange, and for each call of its REST API. Off by default. A collector that is away costs nothing but what it would
 * have been told: after three attempts the exporter rests for a minute, and spans of that time are dropped.
 */
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { TraceSettings } from "./AppConfig.ts"
import * as NodeHttp from "./node/Http.ts"
import { version } from "./Version.ts"

export const layer = ({ attributes, endpoint, headers, serviceName }: TraceSettings): Layer.Layer<never> =>
  endpoint === undefined
    // Else each span would be made, and told to nobody.
    ? Layer.setTracerEnabled(false)
    : OtlpTracer.layer({
      url: `${endpoint}/v1/traces`,
      headers: headers === undefined ? undefined : Redacted.value(headers),
      resource: { serviceName, serviceVersion: version, attributes },
      shutdownTimeout: "1 second"
    }).pipe(
      Layer.provide([NodeHttp.layer(), OtlpSerialization.layerJson]),
      // It would read the environment by itself.
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))
    )
