/**
 * A real Prometheus scrapes the demo; rules and dashboard are checked by promtool; and each metric that documents, rules or dashboard
 * name exists, and none is undocumented. METRICS_DOC=1 writes the table of `docs/metrics.md`.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as net from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { ensureBundle } from "../support/bundle.ts"
import { until } from "./Service.ts"

const root = path.resolve(import.meta.dirname, "../..")
const deploy = path.join(root, "deploy/prometheus")
const document = path.join(root, "docs/metrics.md")

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(address !== null && typeof address === "object" ? address.port : 0))
    })
  })

const children: Array<ChildProcess> = []
let metrics = ""
let port = 0

/** Its name, and by what it ends in series. */
const families = () =>
  Array.from(metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name = "", type = ""]) => {
    const help = new RegExp(`^# HELP ${name} (.*)$`, "m").exec(metrics)?.[1] ?? ""
    const labels = new Set<string>()
    for (const [, inside = ""] of metrics.matchAll(new RegExp(`^${name}(?:_bucket)?\\{(.*)\\} `, "gm"))) {
      for (const [, label = ""] of inside.matchAll(/(\w+)="/g)) if (label !== "le") labels.add(label)
    }
    return { name, type, help, labels: [...labels].sort() }
  })

/** A name as rules and panels use it, without what a histogram adds. */
const base = (name: string) => {
  const known = new Set(families().map(({ name }) => name))
  return known.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "")
}

const named = (text: string) =>
  new Set(Array.from(text.matchAll(/\b(?:feeds|nodejs|process|effect)_[a-z0-9_]+/g), ([name]) => base(name)))

const table = () =>
  [
    "| metric | type | labels | what it is |",
    "|---|---|---|---|",
    ...families().map(({ help, labels, name, type }) => `| \`${name}\` | ${type} | ${labels.join(", ")} | ${help} |`)
  ].join("\n")

beforeAll(async () => {
  await ensureBundle()
  // It says which port it got: one that was free a moment ago may be another's by now.
  const demo = spawn(process.execPath, [path.join(root, "dist/bin/exchange-feeds.mjs"), "demo", "--port", "0"], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.push(demo)
  let said = ""
  for (const stream of [demo.stdout, demo.stderr]) stream.setEncoding("utf8").on("data", (text) => said += text)
  await until(
    "the demo has a page",
    () => {
      port = Number(/http:\/\/127\.0\.0\.1:(\d+)\//.exec(said)?.[1] ?? 0)
      return port > 0
    },
    20_000,
    () => said
  )
  const get = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  // After the demo's first outage every kind of series is there.
  await until(
    "the demo delivers",
    async () => {
      try {
        metrics = await get()
      } catch {
        return false
      }
      return /feeds_kafka_send_duration_seconds_count\S* [1-9]/.test(metrics) &&
        metrics.includes("feeds_lag_seconds_count")
    },
    60_000,
    () => said
  )
})

afterAll(() => {
  for (const child of children) child.kill("SIGKILL")
})

describe("monitoring", () => {
  it("promtool finds nothing to say about the rules, and their cases hold", () => {
    execFileSync("promtool", ["check", "rules", path.join(deploy, "alerts.yml")])
    execFileSync("promtool", ["test", "rules", "alerts_test.yml"], { cwd: deploy })
    const alerts = Array.from(
      readFileSync(path.join(deploy, "alerts.yml"), "utf8").matchAll(/- alert: (\w+)/g),
      ([, name = ""]) => name
    )
    const cases = readFileSync(path.join(deploy, "alerts_test.yml"), "utf8")
    const runbook = readFileSync(path.join(root, "docs/runbook.md"), "utf8")
    assert.isAtLeast(alerts.length, 17)
    for (const alert of alerts) {
      assert.include(cases, `- name: ${alert} fires`)
      assert.include(cases, `- name: ${alert} is quiet`)
      assert.match(runbook, new RegExp(`^## ${alert}$`, "m"))
    }
  })

  it("a real Prometheus scrapes it", async () => {
    const directory = mkdtempSync(path.join(tmpdir(), "prometheus-"))
    const own = await freePort()
    writeFileSync(
      path.join(directory, "prometheus.yml"),
      `global: { scrape_interval: 1s }
rule_files: ["${path.join(deploy, "alerts.yml")}"]
scrape_configs: [{ job_name: exchange-feeds, static_configs: [{ targets: ["127.0.0.1:${port}"] }] }]
`
    )
    const prometheus = spawn("prometheus", [
      `--config.file=${path.join(directory, "prometheus.yml")}`,
      `--storage.tsdb.path=${path.join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${own}`
    ], { stdio: "ignore" })
    children.push(prometheus)
    const ask = async (query: string): Promise<ReadonlyArray<{ readonly value: readonly [number, string] }>> => {
      try {
        const answer = await fetch(`http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(query)}`)
        const { data }: { data: { result: ReadonlyArray<{ readonly value: readonly [number, string] }> } } = JSON.parse(
          await answer.text()
        )
        return data.result
      } catch {
        return []
      }
    }
    const is = async (query: string, wanted: (value: number) => boolean) => {
      const found = await ask(query)
      return found.length > 0 && found.every(({ value }) => wanted(Number(value[1])))
    }
    await until("it is up", () => is("up", (value) => value === 1), 30_000)
    await until(
      "it counts",
      () => is("rate(feeds_events_received_total{exchange=\"bitpin\"}[10s])", (value) => value > 1),
      30_000
    )
    await until(
      "histograms arrive",
      () => is("feeds_lag_seconds_count{exchange=\"bitpin\",path=\"live\"}", (value) => value > 0),
      30_000
    )
    prometheus.kill("SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  })

  it("rules and dashboard name only what exists", () => {
    const known = new Set(families().map(({ name }) => name))
    for (const file of ["deploy/prometheus/alerts.yml", "deploy/grafana/dashboards/overview.json", "docs/runbook.md"]) {
      for (const name of named(readFileSync(path.join(root, file), "utf8"))) {
        assert.isTrue(known.has(name), `${name} in ${file}`)
      }
    }
  })

  it("the dashboard keeps the rules of dashboard-linter, and Prometheus can read each query", () => {
    const dashboard: {
      readonly editable: boolean
      readonly uid: string
      readonly templating: { readonly list: ReadonlyArray<{ readonly name: string }> }
      readonly panels: ReadonlyArray<{
        readonly id: number
        readonly type: string
        readonly title: string
        readonly description?: string
        readonly fieldConfig?: { readonly defaults: { readonly unit: string } }
        readonly targets?: ReadonlyArray<{ readonly expr: string }>
      }>
    } = JSON.parse(readFileSync(path.join(root, "deploy/grafana/dashboards/overview.json"), "utf8"))
    assert.isFalse(dashboard.editable)
    assert.isNotEmpty(dashboard.uid)
    assert.deepStrictEqual(dashboard.templating.list.map(({ name }) => name), ["datasource", "job", "instance"])
    const ids = dashboard.panels.map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, ids.length)
    const rules: Array<{ readonly record: string; readonly expr: string }> = []
    for (const panel of dashboard.panels.filter(({ type }) => type !== "row")) {
      assert.isNotEmpty(panel.description, panel.title)
      assert.isNotEmpty(panel.fieldConfig?.defaults.unit, panel.title)
      for (const { expr } of panel.targets ?? []) {
        assert.include(expr, "job=~\"$job\",instance=~\"$instance\"", panel.title)
        for (const [, window] of expr.matchAll(/\[([^\]]*)\]/g)) {
          assert.strictEqual(window, "$__rate_interval", panel.title)
        }
        for (const [name] of expr.matchAll(/\w+_total\b/g)) {
          assert.match(expr, new RegExp(`(?:rate|increase)\\(${name}`), panel.title)
        }
        rules.push({
          record: `panel_${rules.length}`,
          expr: expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$\w+/g, ".+")
        })
      }
    }
    const directory = mkdtempSync(path.join(tmpdir(), "dashboard-"))
    const file = path.join(directory, "rules.json")
    writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }))
    execFileSync("promtool", ["check", "rules", file])
    rmSync(directory, { recursive: true, force: true })
  })

  it("each metric is documented, and nothing else", () => {
    const begin = "<!-- written by METRICS_DOC=1 -->\n"
    const text = readFileSync(document, "utf8")
    if (process.env["METRICS_DOC"] === "1") {
      writeFileSync(document, `${text.slice(0, text.indexOf(begin) + begin.length)}\n${table()}\n`)
    }
    const documented = Array.from(
      readFileSync(document, "utf8").matchAll(/^\| `([a-z0-9_]+)` \|/gm),
      ([, name = ""]) => name
    )
    assert.deepStrictEqual([...documented].sort(), families().map(({ name }) => name).sort())
  })
})
