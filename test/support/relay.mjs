// Into a network namespace: what connects to the port there reaches the socket in the file system, which has no namespace.
import { connect, createServer } from "node:net"

const [port, path, address] = process.argv.slice(2)
const server = createServer((client) => {
  const up = connect(path)
  for (const [from, to] of [[client, up], [up, client]]) {
    from.pipe(to)
    from.on("error", () => to.destroy())
    from.on("close", () => to.destroy())
  }
})
server.listen(Number(port), address, () => process.stdout.write("ready\n"))
process.stdin.on("close", () => process.exit(0)).resume()
