/** The parts of kafkajs 2.2.4 that this folder reaches into; the version is pinned and a test sees that they are there. */
declare module "kafkajs/src/network/requestQueue/index.js" {
  class RequestQueue {
    readonly pending: ReadonlyArray<unknown>
    scheduleCheckPendingRequests(): void
  }
  export default RequestQueue
}

declare module "kafkajs/src/network/requestQueue/socketRequest.js" {
  class SocketRequest {
    /** Epoch ms; null until it is sent. */
    sentAt: number | null
  }
  export default SocketRequest
}

declare module "kafkajs/src/cluster/brokerPool.js" {
  class BrokerPool {
    /** Epoch ms; null while there are no metadata. */
    metadataExpireAt: number | null
  }
  export default BrokerPool
}

declare module "kafkajs/src/protocol/requests/produce/index.js" {
  interface Call {
    readonly request: { readonly apiVersion: number; readonly encode: () => Promise<unknown> }
    readonly response: unknown
  }
  const Produce: {
    protocol: (options: { readonly version: number }) => (args: import("./ProduceRequest.ts").Request) => Call
  }
  export default Produce
}

declare module "kafkajs/src/protocol/recordBatch/crc32C/index.js" {
  const crc32C: (bytes: Uint8Array) => number
  export default crc32C
}
