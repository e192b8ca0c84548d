/** Looks up what its arguments name, one after the other, and prints the answers, each with the number of processes that it has started. */
import dns, { lookup } from "node:dns"
import { readFileSync } from "node:fs"
import { promisify } from "node:util"
import * as Names from "../../src/layers/cli/Names.ts"

Names.install()

const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").split(" ").length - 1

const failure = ({ code, hostname, message, syscall }: NodeJS.ErrnoException & { hostname?: string }) => ({
  code,
  hostname,
  message,
  syscall
})

const ask = (name: string, options: dns.LookupOptions) =>
  new Promise<unknown>((resolve) => {
    // By the name that was imported before, as Node's own modules and others may have it.
    lookup(name, options, (error, address, family) => resolve(error === null ? [address, family] : failure(error)))
  })

const answers: Array<unknown> = []
for (const name of process.argv.slice(2)) {
  answers.push([name, await ask(name, {}), await ask(name, { all: true }), children()])
}
answers.push(await promisify(dns.lookup)("127.0.0.1"))
process.stdout.write(JSON.stringify(answers), () => process.exit())
