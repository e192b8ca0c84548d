// main -> layers -> streams -> services; Node, ws and the environment only in layers; kafkajs only in KafkaProducer.
const rule = (name, from, to) => ({ name, severity: "error", from, to })
module.exports = {
  forbidden: [
    // Types alone may refer to each other: that is gone when the program runs.
    rule("no-cycles", {}, { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } }),
    rule("services-import-services-only", { path: "^src/services" }, { path: "^src/(streams|layers|main)" }),
    rule("streams-do-not-import-layers", { path: "^src/streams" }, { path: "^src/(layers|main)" }),
    rule("layers-do-not-import-main", { path: "^src/layers" }, { path: "^src/main" }),
    rule("node-only-in-layers", { path: "^src/(services|streams)" }, { dependencyTypes: ["core"] }),
    rule("platform-node-only-in-layers", { path: "^src/(services|streams)" }, { path: "@effect/platform-node" }),
    rule("ws-only-in-its-layer", { path: "^src", pathNot: "^src/layers/(node/WebSocket|testing/)" }, { path: "node_modules/ws/" }),
    rule("kafkajs-only-in-the-producer", { path: "^src", pathNot: "^src/services/KafkaProducer" }, { path: "node_modules/kafkajs/" })
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] }
  }
}
