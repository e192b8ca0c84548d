// Calls health routes of `http://host:port`, one after another over one connection, and prints how long each took, ms, as JSON.
// A process of its own: what it measures must not wait for the test's own work.
import * as http from "node:http"

const [, , base, count] = process.argv
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
const routes = ["/health", "/health/ready", "/health/live"]

const probe = (route) =>
  new Promise((resolve, reject) => {
    const begun = performance.now()
    http.get(base + route, { agent }, (response) => {
      response.resume()
      response.once("end", () => resolve(performance.now() - begun))
    }).once("error", reject)
  })

const times = []
for (let i = 0; i < Number(count); i++) {
  times.push(await probe(routes[i % routes.length]))
  await new Promise((resolve) => setTimeout(resolve, 20))
}
agent.destroy()
console.log(JSON.stringify(times))
