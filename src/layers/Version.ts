/** Set by scripts/bundle.mjs, from package.json. */
declare const EXCHANGE_FEEDS_VERSION: string | undefined

export const version: string = typeof EXCHANGE_FEEDS_VERSION === "string" ? EXCHANGE_FEEDS_VERSION : "0.0.0-source"

/** By this exchanges know us: some gateways refuse a client without a name, for REST and for sockets. */
export const userAgent: string = `effect-exchange-feeds/${version}`
