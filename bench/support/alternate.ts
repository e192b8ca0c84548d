const slices = 10

/** Of each, not counted: a service that runs for months has its code compiled, which takes V8 a second or two of appends. */
const warmUp = 10

/**
 * Ours and theirs in turn, slice by slice, so that what else the machine does hits both alike: how many rounds a second of each.
 * A side is told when to stop (`performance.now()`), and says how many rounds it did.
 */
export const alternate = async (
  seconds: number,
  ours: (until: number) => Promise<number>,
  theirs: (until: number) => Promise<number>
): Promise<readonly [ours: number, theirs: number]> => {
  const rounds = [0, 0]
  const spent = [0, 0]
  for (let slice = 0; slice < (warmUp + slices) * 2; slice++) {
    const which = slice % 2
    const began = performance.now()
    const count = await (which === 0 ? ours : theirs)(began + seconds * 1000 / slices)
    if (slice < warmUp * 2) continue
    rounds[which] = (rounds[which] ?? 0) + count
    spent[which] = (spent[which] ?? 0) + performance.now() - began
  }
  return [(rounds[0] ?? 0) * 1000 / (spent[0] ?? 1), (rounds[1] ?? 0) * 1000 / (spent[1] ?? 1)]
}
