/** Every piece, without starting anything: importing reads no environment, installs no signal handler and sets no logger. */
export * from "./layers/index.ts"
export * from "./services/index.ts"
export * from "./streams/index.ts"
