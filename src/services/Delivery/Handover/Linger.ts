/**
 * When a lane's batch goes that is not full, while no send is out. The records that came while the last send was out, or soon after it
 * began, share a request: a request costs as much as dozens of records. A record that comes later than that has nobody to wait for.
 *
 * So sends begin at least a linger apart unless batches fill, and no record waits for others longer than a linger: at a few records a
 * second each goes at once, at thousands a batch is what comes in a linger, and when Kafka is the slower one, what came meanwhile.
 */
import * as Time from "../../Time.ts"

/**
 * `oldest`: when the first record of the batch was accepted. `lastSendAt`: when the send before began; `Time.never` if there was none.
 * `linger`: ms; 0: at once.
 */
export const dueAt = (oldest: Time.Instant, lastSendAt: Time.Instant, linger: number): Time.Instant => {
  const gapAt = Time.plus(lastSendAt, linger)
  const waitedAt = Time.plus(oldest, linger)
  return Time.between(gapAt, waitedAt) > 0 ? gapAt : waitedAt
}
