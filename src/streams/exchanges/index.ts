/** The exchanges there are, by their ids. One more is one file and one line. */
import { bitpin } from "./Bitpin.ts"
import { wallex } from "./Wallex.ts"

export const exchanges = { bitpin, wallex } as const
