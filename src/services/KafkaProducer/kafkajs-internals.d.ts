/** The parts of kafkajs 2.2.4 that `patches.ts` reaches into; the version is pinned and a test sees that they are there. */
declare module "kafkajs/src/network/requestQueue/index.js" {
  class RequestQueue {
    readonly pending: ReadonlyArray<unknown>
    scheduleCheckPendingRequests(): void
  }
  export default RequestQueue
}
