import * as Frames from "../bench/support/Frames.ts"
import * as Json from "../src/streams/protocols/Json.ts"
import * as Repeats from "../src/streams/protocols/Repeats.ts"
const f = Frames.make(Frames.shapes.window, 60)
const texts = Array.from({ length: 12000 }, () => f.next().text)
const r = Repeats.make((x) => JSON.stringify(x))
let known = 0, read = 0, kept=0
for (const [i, t] of texts.entries()) {
  const rows = r.rowsOf("m" + i % 60, t)
  if (rows?.isKept) kept++
  Json.parseFrame(t, rows === undefined ? undefined : { ...rows, known: (at) => { const k = rows.known(at); if (k) known++; return k }, read: (a, b, c) => { read++; rows.read(a, b, c) } })
}
console.log({ known, read, kept, n: texts.length, len: texts.at(-1)!.length })
console.log(texts[5000].slice(0, 600))
