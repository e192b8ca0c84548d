/**
 * A certificate authority of the tests' own, with a server and a client certificate, by openssl.
 */
import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { promisify } from "node:util"
import * as Jvm from "./Jvm.ts"

const run = promisify(execFile)

const directory = path.join(Jvm.cache, "certificates")

/** Who gets a certificate; `elsewhere` is a server's for a host it is not on. */
const names = { server: "DNS:localhost,IP:127.0.0.1", client: "DNS:localhost", elsewhere: "DNS:kafka.example" }

export interface Certificates {
  /** Path of a file in the directory: `ca.pem`, `server.pem` (key, then certificate), `client.crt`, ... */
  readonly path: (file: string) => string
  readonly read: (file: string) => string
}

const create = async (into: string): Promise<void> => {
  const openssl = (command: string) => run("openssl", command.split(" "), { cwd: into })
  const text = (file: string) => readFileSync(path.join(into, file), "utf8")
  await openssl("req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=test-ca -keyout ca.key -out ca.pem")
  for (const [name, subject] of Object.entries(names)) {
    writeFileSync(path.join(into, `${name}.ext`), `subjectAltName=${subject}`)
    await openssl(`req -newkey rsa:2048 -nodes -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`)
    const signed = `-CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile ${name}.ext`
    await openssl(`x509 -req -in ${name}.csr -out ${name}.crt ${signed}`)
    writeFileSync(path.join(into, `${name}.pem`), text(`${name}.key`) + text(`${name}.crt`))
  }
}

export const make = async (): Promise<Certificates> => {
  await Jvm.once(directory, create)
  return {
    path: (file) => path.join(directory, file),
    read: (file) => readFileSync(path.join(directory, file), "utf8")
  }
}
