/** Best ask over best bid, as the page and `top` show it: for people, so a double does. */
export const spread = (
  { bestAsk, bestBid }: { readonly bestAsk: string | null; readonly bestBid: string | null }
): string =>
  bestAsk === null || bestBid === null ? "-" : `${((Number(bestAsk) / Number(bestBid) - 1) * 100).toFixed(3)} %`
