/**
 * Which markets of a list are collected: by their names, by globs, by share. Pure.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { CanonicalSymbol } from "../../services/MarketEvent.ts"
import { oneLine } from "../../services/Text.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Exchange, Listed, Market } from "../Exchange.ts"

/** More than any exchange we know lists; an API gone mad must not open a hundred sockets (docs/design/laws.md "Bounds"). */
const maxMarkets = 2000

const isCanonical = Schema.is(CanonicalSymbol)

/** Something but signs, since `.` and `..` are ways in an address. */
const exchangeSymbolPattern = /^(?=.*[A-Za-z0-9])[A-Za-z0-9_\-./:$]{1,64}$/

/**
 * Some exchanges spell all in small letters. A name that mixes them keeps its own and fits no symbol: raised, the tokenised stock `Xx` would be
 * taken for the coin `XX`.
 */
const raised = (asset: string): string => asset === asset.toLowerCase() ? asset.toUpperCase() : asset

/** The market of a row of the list; its symbols are allow-listed, since they end in keys, labels and frames. */
const marketOf = (
  listed: Listed,
  names: Exchange["names"]
): Either.Either<Market, DecodeFailure.DecodeFailure> => {
  const canonical = (asset: string): string => {
    const name = raised(asset)
    return names !== undefined && Object.hasOwn(names, name) ? names[name] ?? name : name
  }
  const symbol = `${canonical(listed.base)}/${canonical(listed.quote)}`
  return isCanonical(symbol) && exchangeSymbolPattern.test(listed.exchangeSymbol)
    ? Either.right({ symbol, exchangeSymbol: listed.exchangeSymbol })
    : Either.left(DecodeFailure.make("symbol", `${listed.exchangeSymbol}: ${symbol}`))
}

/** Whether a canonical symbol is chosen: `*` stands for any characters, `?` for one. No globs choose everything. */
export const matcher = (globs: ReadonlyArray<string>): (symbol: string) => boolean => {
  if (globs.length === 0) return () => true
  const patterns = globs.map((glob) => {
    const escaped = glob.toUpperCase().replaceAll(/[\\^$.|+()[\]{}]/g, "\\$&")
    return new RegExp(`^${escaped.replaceAll(/\*+/g, ".*").replaceAll("?", ".")}$`)
  })
  return (symbol) => patterns.some((pattern) => pattern.test(symbol))
}

/** By globs, and ours. */
export const chosenBy = ({ globs, share }: {
  readonly globs: ReadonlyArray<string>
  readonly share?: ((symbol: string) => boolean) | undefined
}): (symbol: string) => boolean => {
  const matches = matcher(globs)
  return share === undefined ? matches : (symbol) => matches(symbol) && share(symbol)
}

/** A tradable market that is not collected, though nobody chose so. */
export interface LeftOut {
  /** As the exchange names it, one line; `BASE/QUOTE` in its words if it has no name. */
  readonly name: string
  /** The name or the symbol is none of those allowed; another market has the same; there is no room for more. */
  readonly reason: "name" | "twice" | "beyond"
  readonly failure: DecodeFailure.DecodeFailure
}

export interface Choice {
  readonly markets: ReadonlyArray<Market>
  /** Rows that cannot be read, and those left out. */
  readonly failures: ReadonlyArray<DecodeFailure.DecodeFailure>
  readonly leftOut: ReadonlyArray<LeftOut>
  /** Canonical symbols of all tradable markets that are not left out, chosen or not. */
  readonly symbols: ReadonlySet<string>
}

const maxName = 64

const nameOf = ({ base, exchangeSymbol, quote }: Listed): string =>
  oneLine(exchangeSymbol.trim() === "" ? `${base}/${quote}` : exchangeSymbol, maxName)

/**
 * Tradable, chosen, each once. `names`: canonical names of assets that the exchange calls otherwise. `known`: canonical symbols of the list before. They keep their places when a list is too long: an API
 * gone mad must not push living markets out.
 */
export const choose = (
  rows: ReadonlyArray<Either.Either<Listed, DecodeFailure.DecodeFailure>>,
  isChosen: (symbol: string) => boolean,
  known: ReadonlySet<string> = new Set(),
  names?: Exchange["names"]
): Choice => {
  const symbols = new Set<string>()
  const exchangeSymbols = new Set<string>()
  const chosen: Array<Market> = []
  const failures: Array<DecodeFailure.DecodeFailure> = []
  const leftOut: Array<LeftOut> = []
  const leave = (name: string, reason: LeftOut["reason"], failure: DecodeFailure.DecodeFailure) => {
    leftOut.push({ name, reason, failure })
    failures.push(failure)
  }
  for (const row of rows) {
    if (Either.isLeft(row)) {
      failures.push(row.left)
      continue
    }
    if (!row.right.tradable) continue
    const market = marketOf(row.right, names)
    if (Either.isLeft(market)) {
      leave(nameOf(row.right), "name", market.left)
      continue
    }
    const { exchangeSymbol, symbol } = market.right
    if (symbols.has(symbol) || exchangeSymbols.has(exchangeSymbol)) {
      // It would be left out anyway, as are others that were not chosen.
      if (isChosen(symbol)) {
        leave(nameOf(row.right), "twice", DecodeFailure.make("symbol", `${symbol} is listed twice`))
      }
      continue
    }
    symbols.add(symbol)
    exchangeSymbols.add(exchangeSymbol)
    if (isChosen(symbol)) chosen.push(market.right)
  }
  if (chosen.length <= maxMarkets) return { markets: chosen, failures, leftOut, symbols }
  let room = maxMarkets - chosen.filter(({ symbol }) => known.has(symbol)).length
  const markets: Array<Market> = []
  for (const market of chosen) {
    if (known.has(market.symbol) || room-- > 0) markets.push(market)
    else leave(market.exchangeSymbol, "beyond", DecodeFailure.make("too_large", market.symbol))
  }
  return { markets, failures, leftOut, symbols }
}
