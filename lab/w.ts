import * as Frames from "../bench/support/Frames.ts"
import { exchanges } from "../src/streams/exchanges/index.ts"
const f = Frames.make(Frames.shapes.window, 60)
const texts = Array.from({ length: 12000 }, () => f.next().text)
const topicOf = () => undefined
for (let r = 0; r < 12; r++) {
  const t0 = process.cpuUsage()
  let rows = 0
  for (const t of texts) for (const m of exchanges.bitpin.socket.decode(t, topicOf)) if (m._tag === "trades") rows += m.rows.length
  const t1 = process.cpuUsage(t0)
  console.log(rows, ((t1.user + t1.system) / texts.length).toFixed(2), "us a frame")
}
