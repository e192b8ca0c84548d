/**
 * A name server on port 53 of the address that it is given: says `asked <name>` of each question on stderr. It knows the IPv4 addresses
 * that follow as `name=address`, and that there are no others; with none it answers nobody.
 */
import * as dgram from "node:dgram"

const [address, ...entries] = process.argv.slice(2)
const known = new Map(entries.map((entry) => entry.split("=")))

/** The name in a question, and where what follows it begins. */
const nameIn = (question) => {
  const labels = []
  let at = 12
  for (; question[at] > 0; at += question[at] + 1) {
    labels.push(question.toString("latin1", at + 1, at + 1 + question[at]))
  }
  return [labels.join(".").toLowerCase(), at + 1]
}

const server = dgram.createSocket("udp4", (message, from) => {
  const [name, end] = nameIn(message)
  process.stderr.write(`asked ${name}\n`)
  if (known.size === 0) return
  const found = known.get(name)
  const isA = message.readUInt16BE(end) === 1
  // Names below are not there either.
  const flags = found === undefined ? 0x8183 : 0x8180
  const header = Buffer.from(message.subarray(0, 12))
  header.writeUInt16BE(flags, 2)
  header.fill(0, 6)
  header.writeUInt16BE(1, 4)
  const parts = [header, message.subarray(12, end + 4)]
  if (found !== undefined && isA) {
    header.writeUInt16BE(1, 6)
    parts.push(Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...found.split(".").map(Number)]))
  }
  server.send(Buffer.concat(parts), from.port, from.address)
})
server.bind(53, address)
