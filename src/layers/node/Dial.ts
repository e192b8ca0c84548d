/**
 * How a connection is opened, whoever it is to. Node tries the addresses of a name one after the other and gives each but the last
 * 250 ms: of a name with a second address, a peer that is 300 ms away is never reached. Given with each dial, so that a program that
 * embeds a part of this one keeps its own default.
 */
import * as net from "node:net"

/**
 * For each address but the last, ms. More than twice the way to a far exchange and back; less than half of the shortest limit of
 * a whole dial (Kafka's 3 s), so that one dead address does not use it up.
 */
const attemptTimeout = 1_000

export interface Options {
  readonly autoSelectFamilyAttemptTimeout: number
}

/** For `net.connect`, `tls.connect`, and what hands its options on to them. A program that asked for more than ours keeps it. */
export const options = (): Options => ({
  autoSelectFamilyAttemptTimeout: Math.max(attemptTimeout, net.getDefaultAutoSelectFamilyAttemptTimeout())
})
