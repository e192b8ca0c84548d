// `node scripts/screenshots.mjs [minutes]`: the status page of the demo as README shows it, after so many minutes (6): when all is well, and in an
// outage of its Kafka. Needs `npm run build` and chromium. Writes docs/images.
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { chromium } from "playwright-core"

const minutes = Number(process.argv[2] ?? 6)
const root = path.resolve(import.meta.dirname, "..")
const demo = spawn(process.execPath, [path.join(root, "dist/bin/exchange-feeds.mjs"), "demo"], {
  stdio: ["ignore", "pipe", "inherit"]
})
let said = ""
demo.stdout.setEncoding("utf8").on("data", (text) => said += text)

/** Waits for a line that is said from now on. */
const line = async (pattern) => {
  const before = said.length
  for (;;) {
    const found = pattern.exec(said.slice(before))
    if (found !== null) return found
    await once(demo.stdout, "data")
  }
}
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1_000))

const [, url = ""] = await line(/status page: (\S+)/)
await pause(minutes * 60)
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] })
const shot = async (name, colorScheme, width, height = 900) => {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme })
  await page.goto(url)
  await page.locator("#link", { hasText: "live" }).waitFor()
  // Each second something changes.
  await pause(1.5)
  await page.screenshot({ path: path.join(root, "docs/images", `${name}.png`) })
  await page.close()
}
await line(/queue drained/)
await pause(2)
await shot("status-light-1100", "light", 1_100)
await shot("status-dark-1100", "dark", 1_100)
await line(/Kafka goes down/)
await pause(4)
await shot("status-outage-1100", "light", 1_100)
await line(/queue drained/)
await pause(2)
await shot("status-light-320", "light", 320)
await browser.close()
demo.kill("SIGTERM")
await once(demo, "close")
