import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { counter, type Family, gauge, type Labels } from "../../../src/services/Exposition/Family.ts"
import { render } from "../../../src/services/Exposition/Text.ts"

const classic = (families: ReadonlyArray<Family>) => render(families, undefined).body
const open = (families: ReadonlyArray<Family>) => render(families, "application/openmetrics-text").body

const histogram = (labels: Labels, count: number, sum = 3.5): Family => ({
  name: "feeds_lag_seconds",
  help: "Lag.",
  type: "histogram",
  samples: [{ labels, buckets: [[0.5, count], [1, count], [Infinity, count + 1]], sum, count: count + 1 }]
})

describe("Prometheus' format", () => {
  it("one HELP and TYPE a family, labels sorted, empty ones left out", () => {
    const text = classic([
      counter("feeds_x_total", "X.", [{ labels: { b: "2", a: "1", none: "" }, value: 3 }]),
      gauge("feeds_y", "Y.", [{ labels: {}, value: 0.5 }])
    ])
    assert.strictEqual(
      text,
      `# HELP feeds_x_total X.
# TYPE feeds_x_total counter
feeds_x_total{a="1",b="2"} 3
# HELP feeds_y Y.
# TYPE feeds_y gauge
feeds_y 0.5
`
    )
  })

  it("a family told by two collectors is one, and a set of labels in whatever order one series", () => {
    const text = classic([
      counter("feeds_x_total", "X.", [{ labels: { a: "1", b: "2" }, value: 3 }]),
      gauge("feeds_g", "G.", [{ labels: { a: "1", b: "2" }, value: 3 }]),
      counter("feeds_x_total", "Another X.", [{ labels: { b: "2", a: "1" }, value: 4 }]),
      gauge("feeds_g", "G.", [{ labels: { b: "2", a: "1" }, value: 5 }]),
      histogram({ a: "1" }, 2),
      histogram({ a: "1" }, 3)
    ])
    assert.strictEqual(text.match(/# TYPE feeds_x_total/g)?.length, 1)
    assert.include(text, "feeds_x_total{a=\"1\",b=\"2\"} 7\n")
    assert.include(text, "feeds_g{a=\"1\",b=\"2\"} 5\n")
    assert.include(text, "feeds_lag_seconds_bucket{a=\"1\",le=\"0.5\"} 5\n")
    assert.include(text, "feeds_lag_seconds_bucket{a=\"1\",le=\"+Inf\"} 7\n")
    assert.include(text, "feeds_lag_seconds_sum{a=\"1\"} 7\n")
    assert.include(text, "feeds_lag_seconds_count{a=\"1\"} 7\n")
  })

  it("labels that cannot change are read once, however many families and scrapes they are in; others each time", () => {
    let reads = 0
    const counting = (labels: Labels) =>
      new Proxy(labels, {
        get: (target, name, self) => {
          reads += 1
          return Reflect.get(target, name, self)
        }
      })
    const scrape = (labels: Labels) =>
      classic([
        counter("feeds_x_total", "X.", [{ labels, value: 1 }]),
        gauge("feeds_y", "Y.", [{ labels, value: 2 }])
      ]).split("\n").filter((line) => line.startsWith("feeds_"))
    const lasting = counting(Object.freeze({ market: "BTC/IRT" }))
    for (let n = 0; n < 10; n++) {
      assert.deepStrictEqual(scrape(lasting), ["feeds_x_total{market=\"BTC/IRT\"} 1", "feeds_y{market=\"BTC/IRT\"} 2"])
    }
    assert.strictEqual(reads, 1)
    const changing = { market: "A/B" }
    scrape(changing)
    changing.market = "C/D"
    assert.include(scrape(changing), "feeds_y{market=\"C/D\"} 2")
  })

  it("what does not agree in its type stays out, and a family without series too", () => {
    const text = classic([
      gauge("feeds_x", "X.", [{ labels: {}, value: 1 }]),
      counter("feeds_x", "X.", [{ labels: {}, value: 2 }]),
      gauge("feeds_none", "None.", [])
    ])
    assert.strictEqual(text, "# HELP feeds_x X.\n# TYPE feeds_x gauge\nfeeds_x 1\n")
  })

  it("numbers as Prometheus reads them", () => {
    const values = [0, -1.5, 1e21, 1e-7, Infinity, -Infinity, Number.NaN]
    const text = classic([gauge("g", "G.", values.map((value, i) => ({ labels: { i: String(i) }, value })))])
    assert.deepStrictEqual(
      text.split("\n").slice(2, -1).map((line) => line.split(" ")[1]),
      ["0", "-1.5", "1e+21", "1e-7", "+Inf", "-Inf", "NaN"]
    )
  })

  it("the bucket without bound is the count, told once", () => {
    const lines = classic([histogram({}, 2)]).split("\n")
    assert.deepStrictEqual(lines.slice(2, -1), [
      "feeds_lag_seconds_bucket{le=\"0.5\"} 2",
      "feeds_lag_seconds_bucket{le=\"1\"} 2",
      "feeds_lag_seconds_bucket{le=\"+Inf\"} 3",
      "feeds_lag_seconds_sum 3.5",
      "feeds_lag_seconds_count 3"
    ])
  })

  it("no value of a label breaks its line, and each is read back as it was", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", minLength: 1 }), fc.string({ minLength: 1 }), (value, name) => {
      const lines = classic([gauge("g", "G.", [{ labels: { [name]: value }, value: 1 }])]).split("\n")
      const match = /^g\{([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"\} 1$/.exec(lines[2] ?? "")
      const read = match?.[2]?.replace(/\\(.)/g, (_, one: string) => one === "n" ? "\n" : one)
      assert.strictEqual(read, value)
      assert.strictEqual(lines.length, 4)
    }))
  })

  it("no name breaks its line", () => {
    fc.assert(fc.property(fc.string(), fc.string(), (name, help) => {
      const lines = classic([gauge(name, help, [{ labels: {}, value: 1 }])]).split("\n")
      assert.strictEqual(lines.length, 4)
      assert.match(lines[2] ?? "", /^[a-zA-Z_:][a-zA-Z0-9_:]* 1$/)
    }))
  })
})

describe("OpenMetrics", () => {
  it("names the family of a counter without `_total`, writes bounds as floats, and ends", () => {
    assert.strictEqual(
      open([counter("feeds_x_total", "Says \"X\".", [{ labels: {}, value: 3 }]), histogram({}, 2)]),
      `# HELP feeds_x Says \\"X\\".
# TYPE feeds_x counter
feeds_x_total 3
# HELP feeds_lag_seconds Lag.
# TYPE feeds_lag_seconds histogram
feeds_lag_seconds_bucket{le="0.5"} 2
feeds_lag_seconds_bucket{le="1.0"} 2
feeds_lag_seconds_bucket{le="+Inf"} 3
feeds_lag_seconds_sum 3.5
feeds_lag_seconds_count 3
# EOF
`
    )
  })

  it("is what is asked for, and only then", () => {
    const type = (accept: string | undefined) => render([], accept).contentType.split(";")[0]
    const prometheus =
      "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    assert.strictEqual(type(prometheus), "application/openmetrics-text")
    assert.strictEqual(type("application/openmetrics-text; version=\"1.0.0\""), "application/openmetrics-text")
    for (
      const other of [
        undefined,
        "*/*",
        "text/html",
        "text/plain",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.2,text/plain;q=0.9",
        "application/openmetrics-text;version=0.0.1"
      ]
    ) {
      assert.strictEqual(type(other), "text/plain", other)
    }
  })
})
