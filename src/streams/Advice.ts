import type { Advice, Endpoints, Exchange } from "./Exchange.ts"

/** What an exchange's adapter says can be done about statuses, where these addresses are asked. */
export const adviceOf = ({ advice }: Pick<Exchange, "advice">, asked: Endpoints): Advice | undefined =>
  typeof advice === "function" ? advice(asked) : advice
