// main -> layers -> streams -> services; Node, ws and the environment only in layers; kafkajs only in its producer.
const rule = (name, from, to) => ({ name, severity: "error", from, to })
module.exports = {
  forbidden: [
    // Types count too: who reads one part should not have to read all.
    rule("no-cycles", {}, { circular: true }),
    // The roof: it knows all parts, and none knows it.
    rule("nobody-below-imports-exposition", { path: "^src/(services|streams)", pathNot: "^src/services/(Exposition|Metrics|index)" }, { path: "^src/services/Exposition" }),
    rule("nobody-below-imports-health", { path: "^src/(services|streams)", pathNot: "^src/services/(Exposition|Health|index)" }, { path: "^src/services/Health" }),
    // An output behind the tag `Producer` knows no other, and the engine knows none.
    rule("producers-do-not-import-each-other", { path: "^src/services/producers/([^/.]+)" }, { path: "^src/services/producers/", pathNot: "^src/services/producers/$1" }),
    rule("delivery-knows-no-output", { path: "^src/services/Delivery" }, { path: "^src/services/producers" }),
    // A channel is a room beside the others; what carries it knows only the seam, `Channel.ts`.
    rule("sessions-know-no-channel", { path: "^src/streams/Feed/" }, { path: "^src/streams/(trades|books)/" }),
    rule("channels-do-not-import-each-other", { path: "^src/streams/(trades|books)/" }, { path: "^src/streams/(trades|books)/", pathNot: "^src/streams/$1/" }),
    rule("services-import-services-only", { path: "^src/services" }, { path: "^src/(streams|layers|main)" }),
    rule("streams-do-not-import-layers", { path: "^src/streams" }, { path: "^src/(layers|main)" }),
    rule("layers-do-not-import-main", { path: "^src/layers" }, { path: "^src/main" }),
    rule("node-only-in-layers", { path: "^src/(services|streams)" }, { dependencyTypes: ["core"] }),
    rule("platform-node-only-in-layers", { path: "^src/(services|streams)" }, { path: "@effect/platform-node" }),
    rule("ws-only-in-its-layer", { path: "^src", pathNot: "^src/layers/(node/WebSocket|testing/)" }, { path: "node_modules/ws/" }),
    rule("kafkajs-only-in-the-producer", { path: "^src", pathNot: "^src/services/producers/Kafkajs" }, { path: "node_modules/kafkajs/" })
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] }
  }
}
