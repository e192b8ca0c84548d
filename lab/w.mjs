// bench/support/Frames.ts
var shapes = {
  one: { fresh: 1, window: 1 },
  ten: { fresh: 10, window: 10 },
  window: { fresh: 1, window: 20 }
};
var symbolOf = (market) => `B${market}_IRT`;
var firstId = 7e7;
var idOf = (n) => `${firstId + n}_${firstId + 1 + n}`;
var began = 1781182785263627e-6;
var row = (n) => ({
  id: idOf(n),
  price: String(11379465211 + n % 1e3),
  base_amount: `0.0${1e3 + n % 9e3}`,
  quote_amount: "11075213",
  side: n % 2 === 0 ? "buy" : "sell",
  // Six decimals, as BitPin sends them: more digits than fit a quick way of reading them.
  time: Number((began + n / 1e3).toFixed(6))
});
var make = ({ fresh, window }, markets) => {
  const past = Array.from({ length: markets }, () => []);
  let count = 0;
  let offset = 0;
  return {
    count: () => count,
    next: () => {
      const market = offset % markets;
      const symbol = symbolOf(market);
      const first = count;
      const rows = Array.from({ length: fresh }, (_, i) => row(first + i));
      count += fresh;
      const shown = [...past[market] ?? [], ...rows].slice(-window);
      past[market] = window > fresh ? shown : [];
      const data = {
        event: "matches_update",
        event_time: new Date((shown.at(-1)?.time ?? 0) * 1e3).toISOString().replace("Z", "000Z"),
        symbol,
        matches: shown.toReversed()
      };
      offset += 1;
      const text2 = JSON.stringify({ push: { channel: `matches:${symbol}`, pub: { data, offset } } });
      return { market, text: text2, first };
    }
  };
};

// src/streams/exchanges/Bitpin.ts
import * as Either4 from "effect/Either";
import * as Schema5 from "effect/Schema";

// src/services/Decimal.ts
import * as Schema from "effect/Schema";
var maxDigits = 30;
var canonicalPattern = /^-?(?:0|[1-9]\d{0,29})(?:\.\d{0,29}[1-9])?$/;
var DecimalString = Schema.String.pipe(Schema.pattern(canonicalPattern));
var literal = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;
var render = (negative, whole3, fraction) => {
  const int = whole3.replace(/^0+(?=\d)/, "");
  const frac = fraction.replace(/0+$/, "");
  if (int.length > maxDigits || frac.length > maxDigits) return void 0;
  const text2 = frac === "" ? int : `${int}.${frac}`;
  return negative && text2 !== "0" ? `-${text2}` : text2;
};
var point = 46;
var zero = 48;
var nine = 57;
var plain = (text2) => {
  const { length } = text2;
  let wholeEnd = length;
  let end = 0;
  for (let i = 0; i < length; i++) {
    const code = text2.charCodeAt(i);
    if (code === point && wholeEnd === length) wholeEnd = i;
    else if (code < zero || code > nine) return void 0;
    else if (code !== zero && i > wholeEnd) end = i + 1;
  }
  if (wholeEnd === 0) return void 0;
  let from = 0;
  while (from < wholeEnd - 1 && text2.charCodeAt(from) === zero) from++;
  if (end === 0) end = wholeEnd;
  if (wholeEnd - from > maxDigits || end - wholeEnd - 1 > maxDigits) return void 0;
  return from === 0 && end === length ? text2 : text2.slice(from, end);
};
var canonical = (text2) => {
  if (text2.length > 128) return void 0;
  const scanned = plain(text2);
  if (scanned !== void 0) return scanned;
  const match5 = literal.exec(text2);
  if (match5 === null) return void 0;
  const [, sign, whole3 = "", fraction = "", exponent] = match5;
  if (exponent === void 0) return render(sign === "-", whole3, fraction);
  const shift = Number(exponent);
  if (Math.abs(shift) > maxDigits * 2) return void 0;
  const point2 = whole3.length + shift;
  const digits = whole3 + fraction;
  if (point2 <= 0) return render(sign === "-", "0", "0".repeat(-point2) + digits);
  if (point2 >= digits.length) return render(sign === "-", digits + "0".repeat(point2 - digits.length), "");
  return render(sign === "-", digits.slice(0, point2), digits.slice(point2));
};
var isPositive = (decimal) => decimal !== "0" && !decimal.startsWith("-");
var scaled = (decimal) => {
  const [whole3 = "0", fraction = ""] = decimal.split(".");
  return [BigInt(whole3 + fraction), fraction.length];
};
var divide = (numerator, denominator) => {
  if (!isPositive(denominator)) return void 0;
  const [n, ns] = scaled(numerator);
  const [d, ds] = scaled(denominator);
  const top = n * 10n ** BigInt(18 + ds);
  const bottom = d * 10n ** BigInt(ns);
  const negative = top < 0n;
  const magnitude = negative ? -top : top;
  const quotient = magnitude / bottom;
  const twice = magnitude % bottom * 2n;
  const rounded = twice > bottom || twice === bottom && quotient % 2n === 1n ? quotient + 1n : quotient;
  const text2 = rounded.toString().padStart(19, "0");
  return render(negative, text2.slice(0, -18), text2.slice(-18));
};

// src/services/MarketEvent.ts
import * as Schema2 from "effect/Schema";

// src/services/MarketEvent/TradeBytes.ts
var fields = [
  "type",
  "v",
  "exchange",
  "symbol",
  "exchangeSymbol",
  "id",
  "price",
  "amount",
  "side",
  "timestamp",
  "receivedAt",
  "source"
];
var slabBytes = 64 * 1024;
var maxMarkets = 4096;
var roomBetween = 64;
var utf8 = new TextEncoder();
var headOf = ({ exchange, exchangeSymbol, symbol }) => {
  const common = JSON.stringify({ type: "trade", v: 1, exchange, symbol, exchangeSymbol });
  return {
    exchange,
    symbol,
    exchangeSymbol,
    key: `${exchange}:${symbol}`,
    bytes: utf8.encode(`${common.slice(0, -1)},"id":"`)
  };
};
var tailOf = ({ receivedAt, source }) => ({
  receivedAt,
  source,
  bytes: utf8.encode(`,${JSON.stringify({ receivedAt, source }).slice(1)}`)
});
var hasTheseFields = (trade3) => {
  let i = 0;
  for (const name in trade3) {
    if (name !== fields[i]) return false;
    i += 1;
  }
  return i === fields.length;
};
var isText = (value2) => typeof value2 === "string";
var isOfThisVersion = ({ amount, id, price, side: side2, timestamp, v }) => v === 1 && isText(id) && isText(price) && isText(amount) && isText(side2) && (timestamp === null || isText(timestamp));
var make2 = () => {
  const heads = /* @__PURE__ */ new Map();
  let markets = 0;
  let tail;
  let slab = new Uint8Array();
  let used = 0;
  let at = 0;
  let isOdd = false;
  const head = (trade3) => {
    const found = heads.get(trade3.exchange)?.get(trade3.symbol);
    if (found !== void 0 && found.exchangeSymbol === trade3.exchangeSymbol) return found;
    if (markets >= maxMarkets) {
      heads.clear();
      markets = 0;
    }
    const ofExchange = heads.get(trade3.exchange) ?? /* @__PURE__ */ new Map();
    heads.set(trade3.exchange, ofExchange);
    const made = headOf(trade3);
    ofExchange.set(trade3.symbol, made);
    markets += 1;
    return made;
  };
  const put = (bytes) => {
    slab.set(bytes, at);
    at += bytes.length;
  };
  const putText = (text2) => {
    const { length } = text2;
    for (let i = 0; i < length; i++) {
      const code = text2.charCodeAt(i);
      if (code < 32 || code > 126 || code === 34 || code === 92) isOdd = true;
      slab[at + i] = code;
    }
    at += length;
  };
  const putFixed = (text2) => {
    const { length } = text2;
    for (let i = 0; i < length; i++) slab[at + i] = text2.charCodeAt(i);
    at += length;
  };
  return {
    marketOf: head,
    write: (trade3) => {
      if (!hasTheseFields(trade3) || !isOfThisVersion(trade3)) return void 0;
      const { amount, id, price, side: side2, timestamp } = trade3;
      const { bytes } = head(trade3);
      if (tail?.receivedAt !== trade3.receivedAt || tail.source !== trade3.source) tail = tailOf(trade3);
      const room = bytes.length + tail.bytes.length + roomBetween + id.length + price.length + amount.length + side2.length + (timestamp?.length ?? 0);
      if (room > slabBytes) return void 0;
      if (used + room > slab.length) {
        slab = new Uint8Array(slabBytes);
        used = 0;
      }
      at = used;
      isOdd = false;
      put(bytes);
      putText(id);
      putFixed('","price":"');
      putText(price);
      putFixed('","amount":"');
      putText(amount);
      putFixed('","side":"');
      putText(side2);
      if (timestamp === null) putFixed('","timestamp":null');
      else {
        putFixed('","timestamp":"');
        putText(timestamp);
        putFixed('"');
      }
      put(tail.bytes);
      if (isOdd) return void 0;
      const value2 = slab.subarray(used, at);
      used = at;
      return value2;
    }
  };
};

// src/services/Time.ts
import * as Effect from "effect/Effect";

// src/services/Iso.ts
var maxTime = 253402300799999;
var secondsOfDay = 86400;
var numbered = (count, digits, behind) => Array.from({ length: count }, (_, i) => `${String(i).padStart(digits, "0")}${behind}`);
var minutes = numbered(24, 2, ":").flatMap((hour) => numbered(60, 2, ":").map((minute) => hour + minute));
var seconds = numbered(60, 2, ".");
var millis = numbered(1e3, 3, "Z");
var days = Array.from({ length: 16 }, () => ({ day: -1, text: "" }));
var dayOf = (day) => {
  const kept = days[day % days.length] ?? { day: -1, text: "" };
  if (kept.day !== day) {
    kept.text = new Date(day * secondsOfDay * 1e3).toISOString().slice(0, 11);
    kept.day = day;
  }
  return kept.text;
};
var ofSecond = (second2) => {
  const day = Math.floor(second2 / secondsOfDay);
  const inDay = second2 - day * secondsOfDay;
  const minute = Math.floor(inDay / 60);
  return dayOf(day) + ((minutes[minute] ?? "") + (seconds[inDay - minute * 60] ?? ""));
};

// src/services/Time.ts
var instant = (ms) => ms;
var wallTime = (epochMs) => epochMs;
var never = instant(-Infinity);
var instantOf = (clock) => instant(Number(clock.unsafeCurrentTimeNanos() / 1000000n));
var wallOf = (clock) => wallTime(clock.unsafeCurrentTimeMillis());
var momentOf = (clock) => ({ at: instantOf(clock), wall: wallOf(clock) });
var now = Effect.clockWith((clock) => Effect.sync(() => instantOf(clock)));
var wall = Effect.clockWith((clock) => Effect.sync(() => wallOf(clock)));
var moment = Effect.clockWith((clock) => Effect.sync(() => momentOf(clock)));
var millis2 = (at) => at;
var plus = (at, ms) => instant(millis2(at) + ms);
var epochMillis = (time) => time;

// src/services/MarketEvent.ts
var Side = Schema2.Literal("buy", "sell");
var Source = Schema2.Literal("ws", "rest");
var Timestamp = Schema2.String.pipe(
  Schema2.pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(?:\d{3}){1,3}Z$/)
);
var ReceivedAt = Schema2.String.pipe(Schema2.pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/));
var CanonicalSymbol = Schema2.String.pipe(Schema2.pattern(/^[A-Z0-9_]{1,30}\/[A-Z0-9]{2,10}$/));
var Trade = Schema2.Struct({
  type: Schema2.Literal("trade"),
  v: Schema2.Literal(1),
  exchange: Schema2.NonEmptyString,
  symbol: CanonicalSymbol,
  exchangeSymbol: Schema2.NonEmptyString,
  id: Schema2.NonEmptyString,
  price: DecimalString,
  amount: DecimalString,
  side: Side,
  /** The exchange's time, null where it gives none. */
  timestamp: Schema2.NullOr(Timestamp),
  /** When the frame (or the REST answer) reached this process. */
  receivedAt: ReceivedAt,
  source: Source
});
var Level = Schema2.Tuple(DecimalString, DecimalString);
var Book = Schema2.Struct({
  type: Schema2.Literal("book"),
  v: Schema2.Literal(1),
  exchange: Schema2.NonEmptyString,
  symbol: CanonicalSymbol,
  exchangeSymbol: Schema2.NonEmptyString,
  id: Schema2.NonEmptyString,
  /** The place of the picture in its chain: compared as text, never computed. */
  sequence: Schema2.NonEmptyString,
  /** `[price, amount]`, best first: descending. */
  bids: Schema2.Array(Level),
  /** `[price, amount]`, best first: ascending. */
  asks: Schema2.Array(Level),
  timestamp: Schema2.NullOr(Timestamp),
  receivedAt: ReceivedAt,
  /** When it was handed over: in any stretch of k intervals there are at most k + 1 pictures of a market, holes apart. */
  sentAt: ReceivedAt,
  source: Source
});
var BookDelta = Schema2.Struct({
  type: Schema2.Literal("book_delta"),
  v: Schema2.Literal(1),
  exchange: Schema2.NonEmptyString,
  symbol: CanonicalSymbol,
  exchangeSymbol: Schema2.NonEmptyString,
  id: Schema2.NonEmptyString,
  previous: Schema2.NonEmptyString,
  sequence: Schema2.NonEmptyString,
  bids: Schema2.Array(Level),
  asks: Schema2.Array(Level),
  timestamp: Schema2.NullOr(Timestamp),
  receivedAt: ReceivedAt,
  source: Source
});
var StatusKind = Schema2.Literal(
  "connected",
  "disconnected",
  "stale",
  "gap",
  "dropped",
  "breaker",
  "api",
  "markets"
);
var Status = Schema2.Struct({
  type: Schema2.Literal("status"),
  v: Schema2.Literal(1),
  /** An exchange, or `collector` for Kafka's own. */
  exchange: Schema2.NonEmptyString,
  event: StatusKind,
  id: Schema2.NonEmptyString,
  channel: Schema2.optional(Schema2.String),
  symbol: Schema2.optional(CanonicalSymbol),
  receivedAt: ReceivedAt
}, Schema2.Record({ key: Schema2.String, value: Schema2.Unknown }));
var MarketEvent = Schema2.Union(Trade, Book, BookDelta, Status);
var Channel = Schema2.Literal("trades", "books");
var laneOf = ({ type }) => type === "book_delta" ? "book" : type;
var longestWait = 1e4;
var isOfBooks = (event) => event.type === "status" ? event.event === "gap" && event.channel === "books" : laneOf(event) === "book";
var makeEncoder = (collector) => {
  const bytes = make2();
  let last = { receivedAt: "", timestamp: NaN };
  const timestampOf = ({ receivedAt }) => {
    if (receivedAt !== last.receivedAt) last = { receivedAt, timestamp: Date.parse(receivedAt) };
    return last.timestamp;
  };
  const sinceOf = (timestamp, now2) => {
    if (now2 === void 0) return void 0;
    const waited = epochMillis(now2.wall) - timestamp;
    return plus(now2.at, waited >= 0 && waited <= longestWait ? -waited : 0);
  };
  const ofTrade = (trade3, now2) => {
    const timestamp = timestampOf(trade3);
    return {
      key: bytes.marketOf(trade3).key,
      value: bytes.write(trade3) ?? JSON.stringify(trade3),
      headers: { id: trade3.id, schema: "trade/1", source: trade3.source },
      timestamp,
      since: sinceOf(timestamp, now2),
      trade: { exchangeSymbol: trade3.exchangeSymbol, timestamp: trade3.timestamp }
    };
  };
  return (event, now2) => {
    if (event.type === "trade") return ofTrade(event, now2);
    const timestamp = timestampOf(event);
    const headers = {
      id: event.id,
      schema: `${event.type}/${event.v}`,
      source: event.type === "status" ? "collector" : event.source
    };
    if (collector !== void 0 && isOfBooks(event)) headers["collector"] = collector;
    return {
      key: event.symbol === void 0 ? event.exchange : `${event.exchange}:${event.symbol}`,
      value: JSON.stringify(event),
      headers,
      timestamp,
      since: sinceOf(timestamp, now2)
    };
  };
};
var encode = makeEncoder();

// src/streams/DecodeFailure.ts
var maxDetail = 512;
var make3 = (reason, detail) => ({ reason, detail: detail.slice(0, maxDetail) });

// src/streams/protocols/Centrifugo.ts
import * as Either3 from "effect/Either";
import * as Schema4 from "effect/Schema";

// src/streams/protocols/Fields.ts
import * as Either from "effect/Either";
import * as ParseResult from "effect/ParseResult";
import * as Schema3 from "effect/Schema";

// src/services/ExchangeTime.ts
var maxDecimals = 9;
var isDigits = (text2) => {
  for (let i = 0; i < text2.length; i++) {
    const code = text2.charCodeAt(i);
    if (code < 48 || code > 57) return false;
  }
  return true;
};
var millisOf = (fraction) => {
  let millis3 = 0;
  for (let i = 0; i < 3; i++) millis3 = millis3 * 10 + (i < fraction.length ? fraction.charCodeAt(i) - 48 : 0);
  return millis3;
};
var filled = (fraction) => {
  const { length } = fraction;
  return length === 6 || length === maxDecimals ? fraction : fraction.slice(0, maxDecimals).padEnd(length <= 6 ? 6 : maxDecimals, "0");
};
var make4 = (seconds3, fraction) => {
  const timestamp = seconds3 * 1e3 + millisOf(fraction);
  if (!isDigits(fraction) || !(timestamp >= 0 && timestamp <= maxTime)) return void 0;
  if (fraction.length <= 3) return { timestamp };
  return { timestamp, time: `${ofSecond(Math.floor(timestamp / 1e3))}${filled(fraction)}Z` };
};
var toSecond = 20;
var fullLength = toSecond + maxDecimals;

// src/streams/protocols/Shape.ts
import * as Option from "effect/Option";
import * as Predicate from "effect/Predicate";
import * as AST from "effect/SchemaAST";
var checksOf = (parts) => {
  const checks = parts.map(checkOf);
  return checks.every((check2) => check2 !== void 0) ? checks : void 0;
};
var struct = ({ indexSignatures, propertySignatures }) => {
  const checks = checksOf(propertySignatures.map(({ type }) => type));
  const names = propertySignatures.map(({ name }) => name);
  if (checks === void 0 || indexSignatures.length > 0) return void 0;
  return (value2) => {
    if (!Predicate.isRecord(value2)) return false;
    for (let i = 0; i < names.length; i++) if (checks[i]?.(value2[names[i] ?? ""]) !== true) return false;
    return true;
  };
};
var tuple = ({ elements, rest }) => {
  const checks = checksOf(elements.map(({ type }) => type));
  const others = checksOf(rest.map(({ type }) => type));
  if (checks === void 0 || others === void 0 || others.length > 1) return void 0;
  const [other] = others;
  return (value2) => {
    if (!Array.isArray(value2) || value2.length < checks.length) return false;
    for (let i = 0; i < value2.length; i++) if ((checks[i] ?? other)?.(value2[i]) !== true) return false;
    return true;
  };
};
var union = ({ types }) => {
  const checks = checksOf(types);
  if (checks === void 0) return void 0;
  return (value2) => {
    for (const check2 of checks) if (check2(value2)) return true;
    return false;
  };
};
var isHandedOn = (ast) => ast._tag === "Refinement" ? isHandedOn(ast.from) : ast._tag === "Union" ? ast.types.every(isHandedOn) : ast._tag !== "TypeLiteral" && ast._tag !== "TupleType";
var refinement = (ast) => {
  if (!isHandedOn(ast.from)) return void 0;
  const from = checkOf(ast.from);
  if (from === void 0) return void 0;
  return (value2) => from(value2) && Option.isNone(ast.filter(value2, AST.defaultParseOption, ast));
};
var checkOf = (ast) => {
  if (Option.isSome(AST.getParseOptionsAnnotation(ast))) return void 0;
  switch (ast._tag) {
    case "StringKeyword":
      return Predicate.isString;
    case "BooleanKeyword":
      return Predicate.isBoolean;
    case "UndefinedKeyword":
      return Predicate.isUndefined;
    case "UnknownKeyword":
      return () => true;
    case "Literal":
      return (value2) => value2 === ast.literal;
    case "Union":
      return union(ast);
    case "Refinement":
      return refinement(ast);
    case "TypeLiteral":
      return struct(ast);
    case "TupleType":
      return tuple(ast);
    default:
      return void 0;
  }
};
var check = (schema) => {
  const found = checkOf(schema.ast);
  return (value2) => found !== void 0 && found(value2);
};

// src/streams/protocols/Fields.ts
var decoder = (schema) => {
  const decode3 = Schema3.decodeUnknownEither(schema);
  return (input) => Either.mapLeft(
    decode3(input),
    (error) => make3("schema", ParseResult.TreeFormatter.formatErrorSync(error))
  );
};
var rowDecoder = (schema) => {
  const isWellFormed = check(schema);
  const judge = decoder(schema);
  return (input) => isWellFormed(input) ? Either.right(input) : judge(input);
};
var failed = (reason, field, text2) => Either.left(make3(reason, `${String(field)}: ${text2}`));
var positiveDecimal = (text2) => {
  const decimal = canonical(text2);
  return decimal !== void 0 && isPositive(decimal) ? decimal : void 0;
};
var positive = (name, text2) => {
  const decimal = positiveDecimal(text2);
  return decimal === void 0 ? failed("number", name, text2) : Either.right(decimal);
};
var levels = (name, rows) => {
  const side2 = [];
  for (const [price, amount] of rows) {
    const canonicalPrice = positiveDecimal(price);
    if (canonicalPrice === void 0) return failed("number", `${name} price`, price);
    const canonicalAmount = canonical(amount);
    if (canonicalAmount === void 0 || canonicalAmount.startsWith("-")) {
      return failed("number", `${name} amount`, amount);
    }
    side2.push([canonicalPrice, canonicalAmount]);
  }
  return Either.right(side2);
};
var tradeDecoder = (schema, fields2) => {
  const decode3 = rowDecoder(schema);
  const [timeField, readTime] = fields2.time;
  return (input) => {
    const decoded = decode3(input);
    if (Either.isLeft(decoded)) return Either.left(decoded.left);
    const row3 = decoded.right;
    const text2 = (field) => String(row3[field]);
    const price = positiveDecimal(text2(fields2.price));
    if (price === void 0) return failed("number", fields2.price, text2(fields2.price));
    const amount = canonical(text2(fields2.amount));
    if (amount === void 0 || amount.startsWith("-")) return failed("number", fields2.amount, text2(fields2.amount));
    const time = readTime(text2(timeField));
    if (time === void 0) return failed("time", timeField, text2(timeField));
    const id = fields2.id === void 0 ? void 0 : text2(fields2.id);
    return Either.right({ id, price, amount, side: fields2.side(row3), ...time });
  };
};
var digit = (text2, at) => {
  const value2 = text2.charCodeAt(at) - 48;
  return value2 >= 0 && value2 <= 9 ? value2 : NaN;
};
var digitsEnd = (text2, from) => {
  let i = from;
  while (digit(text2, i) >= 0) i++;
  return i;
};
var maxSecondsDigits = 12;
var epochSeconds = (text2) => {
  const { length } = text2;
  const whole3 = digitsEnd(text2, 0);
  if (whole3 === length || text2[whole3] === "." && digitsEnd(text2, whole3 + 1) === length && whole3 + 1 < length) {
    if (whole3 === 0 || whole3 > maxSecondsDigits) return void 0;
    return make4(Number(text2.slice(0, whole3)), text2.slice(whole3 + 1));
  }
  const plain2 = text2.includes("e") || text2.includes("E") ? canonical(text2) : void 0;
  return plain2 === void 0 ? void 0 : epochSeconds(plain2);
};
var epochMillis2 = (text2) => text2 === "" || text2.length > maxSecondsDigits + 3 || digitsEnd(text2, 0) !== text2.length ? void 0 : make4(Number(text2.slice(0, -3)), text2.slice(-3).padStart(3, "0"));
var isoPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?(Z|[+-]\d\d:\d\d)$/;
var twoDigits = (text2, at) => digit(text2, at) * 10 + digit(text2, at + 1);
var daysOf = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
var utcTime = (text2) => {
  const last = text2.length - 1;
  if (text2[last] !== "Z" || text2[4] !== "-" || text2[7] !== "-" || text2[10] !== "T") return void 0;
  if (text2[13] !== ":" || text2[16] !== ":") return void 0;
  if (last !== 19 && (text2[19] !== "." || last < 21 || last > 50 || digitsEnd(text2, 20) !== last)) return void 0;
  const [year, month, day] = [twoDigits(text2, 0) * 100 + twoDigits(text2, 2), twoDigits(text2, 5), twoDigits(text2, 8)];
  const [hour, minute, second2] = [twoDigits(text2, 11), twoDigits(text2, 14), twoDigits(text2, 17)];
  if (!(year >= 1970 && day >= 1 && day <= (daysOf[month - 1] ?? 0))) return void 0;
  if (!(hour <= 23 && minute <= 59 && second2 <= 59)) return void 0;
  return make4(Date.UTC(year, month - 1, day, hour, minute, second2) / 1e3, text2.slice(20, last));
};
var isoTime = (text2) => utcTime(text2) ?? anyTime(text2);
var anyTime = (text2) => {
  const match5 = isoPattern.exec(text2);
  if (match5 === null) return void 0;
  const [, whole3 = "", fraction = "", zone = ""] = match5;
  return make4(Date.parse(whole3 + zone) / 1e3, fraction);
};
var newestLast = (rows) => {
  const times = rows.flatMap((row3) => Either.isRight(row3) && row3.right.timestamp !== null ? [row3.right.timestamp] : []);
  return (times[0] ?? 0) < (times.at(-1) ?? 0) ? rows : [...rows].reverse();
};

// src/streams/protocols/Json.ts
import * as Either2 from "effect/Either";
var frameLimits = { size: Infinity, items: 1e4, perItem: 50 };
var bodyLimits = { size: 32 * 1024 * 1024, items: 1e4 };
var maxDepth = 32;
var maxNumber = 64 * 1024;
var quote = 34;
var comma = 44;
var minus = 45;
var colon = 58;
var backslash = 92;
var encoder = new TextEncoder();
var scratch = new Uint8Array(64 * 1024);
var codesOf = (text2) => {
  const { length } = text2;
  const bytes = length < scratch.length ? scratch : new Uint8Array(length + 1);
  const { read: read3, written } = encoder.encodeInto(text2, bytes);
  if (read3 === length && written === length) {
    bytes[length] = 0;
    return bytes;
  }
  const units = new Uint16Array(length + 1);
  for (let i = 0; i < length; i++) units[i] = text2.charCodeAt(i);
  return units;
};
var shortestSlice = 13;
var mayBeSlice = (text2) => text2.length >= shortestSlice;
var whole = (text2) => mayBeSlice(text2) ? [text2.slice(0, shortestSlice - 1), text2.slice(shortestSlice - 1)].join("") : text2;
var fail = (reading2, reason, detail) => {
  reading2.failure ??= make3(reason, detail);
  return void 0;
};
var expected = (reading2, what) => fail(reading2, "json", `${what} expected at ${reading2.at}`);
var next = (reading2) => {
  const { codes } = reading2;
  let i = reading2.at;
  let code = codes[i] ?? 0;
  while (code === 32 || code === 10 || code === 13 || code === 9) code = codes[++i] ?? 0;
  reading2.at = i;
  return code;
};
var cut = ({ at, isWhole, text: text2 }, from, end = at) => isWhole ? whole(text2.slice(from, end)) : text2.slice(from, end);
var string = (reading2) => {
  const { codes } = reading2;
  const from = reading2.at + 1;
  let i = from;
  let code = codes[i] ?? 0;
  while (code !== quote) {
    if (code === backslash) return escaped(reading2);
    if (code < 32) return expected(reading2, "the end of the string");
    code = codes[++i] ?? 0;
  }
  reading2.at = i + 1;
  return cut(reading2, from, i);
};
var escaped = (reading2) => {
  const { at, codes, text: text2 } = reading2;
  let i = at + 1;
  let code = codes[i] ?? 0;
  while (code !== quote) {
    if (i >= text2.length) return expected(reading2, "the end of the string");
    code = codes[i += code === backslash ? 2 : 1] ?? 0;
  }
  try {
    const value2 = JSON.parse(text2.slice(at, i + 1));
    reading2.at = i + 1;
    reading2.hasEscapes = true;
    return String(value2);
  } catch {
    return expected(reading2, "a string");
  }
};
var isDigit = (code) => code >= 48 && code <= 57;
var digitsEnd2 = (codes, from) => {
  let i = from;
  while (isDigit(codes[i] ?? 0)) i++;
  return i;
};
var number = (reading2) => {
  const { at, codes } = reading2;
  const first = codes[at] === minus ? at + 1 : at;
  let end = codes[first] === 48 ? first + 1 : digitsEnd2(codes, first);
  if (end === first) return expected(reading2, "a value");
  if (codes[end] === 46) {
    const from = end + 1;
    end = digitsEnd2(codes, from);
    if (end === from) return expected(reading2, "a number");
  }
  if (codes[end] === 101 || codes[end] === 69) {
    const sign = codes[end + 1];
    const from = sign === 43 || sign === minus ? end + 2 : end + 1;
    end = digitsEnd2(codes, from);
    if (end === from) return expected(reading2, "a number");
  }
  if (end - at > maxNumber) return fail(reading2, "too_large", `a number of ${end - at} characters`);
  reading2.at = end;
  return cut(reading2, at);
};
var word = (reading2, text2, value2) => {
  if (!reading2.text.startsWith(text2, reading2.at)) return expected(reading2, "a value");
  reading2.at += text2.length;
  return value2;
};
var value = (reading2, like) => {
  switch (next(reading2)) {
    case quote:
      return string(reading2);
    case 123:
      return object(reading2, like);
    case 91:
      return list(reading2);
    case 116:
      return word(reading2, "true", true);
    case 102:
      return word(reading2, "false", false);
    case 110:
      return word(reading2, "null", null);
    default:
      return number(reading2);
  }
};
var entered = (reading2, end) => {
  reading2.depth += 1;
  if (reading2.depth > maxDepth) return fail(reading2, "too_deep", `nested deeper than ${maxDepth}`);
  reading2.at += 1;
  if (next(reading2) !== end) return true;
  return left3(reading2);
};
var left3 = (reading2) => {
  reading2.at += 1;
  reading2.depth -= 1;
  return false;
};
var goesOn = (reading2, items, end) => {
  const code = next(reading2);
  if (code === end) return left3(reading2);
  if (code !== comma) return expected(reading2, `"," or "${String.fromCharCode(end)}"`);
  if (items >= reading2.maxItems) return fail(reading2, "too_large", `a list of over ${reading2.maxItems} items`);
  reading2.at += 1;
  return true;
};
var isNextKey = (reading2, key) => {
  const { codes } = reading2;
  const from = reading2.at + 1;
  const { length } = key;
  for (let i = 0; i < length; i++) if (codes[from + i] !== key.charCodeAt(i)) return false;
  if (codes[from + length] !== quote) return false;
  reading2.at = from + length + 1;
  return true;
};
var object = (reading2, like) => {
  const made = {};
  let more = entered(reading2, 125);
  for (let items = 1; more === true; items++) {
    if (next(reading2) !== quote) return expected(reading2, "a key");
    const guess = like?.[items - 1];
    const key = guess !== void 0 && isNextKey(reading2, guess) ? guess : string(reading2);
    if (key === void 0) return void 0;
    if (next(reading2) !== colon) return expected(reading2, `":"`);
    reading2.at += 1;
    const member = value(reading2);
    if (member === void 0) return void 0;
    if (key === "__proto__") {
      Object.defineProperty(made, key, { value: member, configurable: true, enumerable: true, writable: true });
    } else made[key] = member;
    more = goesOn(reading2, items, 125);
  }
  return more === void 0 ? void 0 : made;
};
var isRow = (code) => code === 123 || code === 91;
var list = (reading2) => {
  const made = [];
  let like;
  let more = entered(reading2, 93);
  const rows = more === true && isRow(reading2.codes[reading2.at] ?? 0) ? reading2.rows : void 0;
  if (rows !== void 0) {
    reading2.rows = void 0;
    rows.begin(reading2.depth);
  }
  for (let items = 1; more === true; items++) {
    const item = rows === void 0 ? value(reading2, like) : row2(reading2, rows, like);
    if (item === void 0) return void 0;
    if (items === 1 && typeof item === "object" && item !== null && !reading2.hasEscapes) like = Object.keys(item);
    made.push(item);
    more = goesOn(reading2, items, 93);
  }
  if (more === void 0) return void 0;
  rows?.end(made);
  return made;
};
var row2 = (reading2, rows, like) => {
  const from = isRow(next(reading2)) ? reading2.at : void 0;
  if (from === void 0) return value(reading2, like);
  const known = rows.known(from);
  if (known !== void 0) {
    reading2.at = from + known.text.length;
    return known.value;
  }
  const { hasEscapes, isWhole } = reading2;
  reading2.hasEscapes = false;
  reading2.isWhole ||= rows.isKept;
  const made = value(reading2, like);
  if (made !== void 0 && !reading2.hasEscapes) rows.read(from, reading2.at, made);
  reading2.isWhole = isWhole;
  reading2.hasEscapes ||= hasEscapes;
  return made;
};
var read = (text2, { items, perItem = Infinity, size }, isWhole, rows) => {
  if (text2.length > size) return Either2.left(make3("too_large", `${text2.length} characters`));
  const maxItems = Math.max(items, Math.floor(text2.length / perItem));
  const reading2 = {
    text: text2,
    codes: codesOf(text2),
    maxItems,
    isWhole,
    rows,
    at: 0,
    depth: 0,
    hasEscapes: false,
    failure: void 0
  };
  const made = value(reading2);
  if (made !== void 0) {
    next(reading2);
    if (reading2.at < text2.length) expected(reading2, "the end");
  }
  return reading2.failure === void 0 ? Either2.right(made) : Either2.left(reading2.failure);
};
var parseFrame = (text2, rows) => read(text2, frameLimits, false, rows);

// src/streams/protocols/Centrifugo.ts
var Publication = Schema4.Struct({ data: Schema4.Unknown, offset: Schema4.optional(Schema4.String) });
var Document = Schema4.Struct({
  id: Schema4.optional(Schema4.String),
  error: Schema4.optional(Schema4.Struct({
    code: Schema4.String,
    message: Schema4.optional(Schema4.String),
    temporary: Schema4.optional(Schema4.Boolean)
  })),
  connect: Schema4.optional(Schema4.Unknown),
  subscribe: Schema4.optional(Schema4.Struct({
    publications: Schema4.optional(Schema4.Array(Publication)),
    recoverable: Schema4.optional(Schema4.Boolean),
    epoch: Schema4.optional(Schema4.String),
    offset: Schema4.optional(Schema4.String),
    recovered: Schema4.optional(Schema4.Boolean)
  })),
  unsubscribe: Schema4.optional(Schema4.Unknown),
  push: Schema4.optional(Schema4.Struct({
    channel: Schema4.optional(Schema4.String),
    pub: Schema4.optional(Publication),
    unsubscribe: Schema4.optional(Schema4.Struct({ code: Schema4.optional(Schema4.String) })),
    disconnect: Schema4.optional(
      Schema4.Struct({ code: Schema4.optional(Schema4.String), reason: Schema4.optional(Schema4.String) })
    )
  }))
});
var decodeDocument = rowDecoder(Document);
var helloId = "1";
var maxDocuments = 1024;
var failed2 = (reason, detail) => ({
  _tag: "failure",
  failure: make3(reason, detail)
});
var pushed = `{"push":{"channel":"`;
var topicOfPush = (text2) => text2.startsWith(pushed) ? text2.slice(pushed.length, text2.indexOf(`"`, pushed.length)) : void 0;
var pong = { _tag: "ping", reply: "{}" };
var isEmptyObject = (value2) => typeof value2 === "object" && value2 !== null && !Array.isArray(value2) && Object.keys(value2).length === 0;
var alreadySubscribed = "105";
var remedies = /* @__PURE__ */ new Map([
  // Internal error, and too many requests.
  ["100", "soon"],
  ["111", "soon"],
  // The limit of channels of one connection.
  ["106", "elsewhere"]
]);
var isTerminal = (code) => code >= 3500 && code <= 3999 || code >= 4500 && code <= 4999;
var protocol = (options) => {
  const offsetOf = (text2) => {
    const offset = Number(text2);
    return Number.isSafeInteger(offset) && offset >= 0 ? offset : void 0;
  };
  const startOf = (all2, end) => {
    let start = end;
    for (let i = all2.length - 1; i >= 0 && offsetOf(all2[i]?.offset) === start; i--) start -= 1;
    return start;
  };
  const publications = (topic, all2) => all2.flatMap(({ data, offset: text2 }) => {
    const offset = offsetOf(text2);
    const messages = published(topic, data, offset === void 0 ? void 0 : BigInt(offset));
    return offset === void 0 ? messages : [...messages, { _tag: "moved", topic, offset }];
  });
  const published = (topic, data, offset) => {
    if (typeof data !== "string") return options.publication(topic, data, offset);
    const parsed = parseFrame(data);
    return Either3.isLeft(parsed) ? [{ _tag: "failure", failure: parsed.left }] : options.publication(topic, parsed.right, offset);
  };
  const ofPush = (push) => {
    if (push.disconnect !== void 0) {
      return [{ _tag: "refused", code: Number(push.disconnect.code ?? 0), message: push.disconnect.reason ?? "" }];
    }
    if (push.channel === void 0) return [failed2("unknown", "a push without a channel")];
    if (push.pub !== void 0) return publications(push.channel, [push.pub]);
    if (push.unsubscribe !== void 0) {
      return [{
        _tag: "unsubscribed",
        topic: push.channel,
        resubscribe: Number(push.unsubscribe.code ?? 0) >= 2500
      }];
    }
    return [];
  };
  const ofReply = (id, reply, topicOf2) => {
    const topic = topicOf2(id);
    if (reply.error !== void 0) {
      const { code, message = "", temporary = false } = reply.error;
      if (topic !== void 0) {
        return code === alreadySubscribed ? [{ _tag: "subscribed", topic, position: void 0, recovered: false }] : [{ _tag: "denied", id, code, message, remedy: remedies.get(code) ?? (temporary ? "soon" : "later") }];
      }
      return id === helloId ? [{ _tag: "refused", code: Number(code), message }] : [failed2("unknown", `error ${code} to command ${id}`)];
    }
    if (reply.connect !== void 0) return [{ _tag: "ready" }];
    if (reply.subscribe !== void 0) {
      if (topic === void 0) return [failed2("unknown", `a reply to command ${id}`)];
      const { epoch, offset: text2, publications: all2 = [], recoverable = false } = reply.subscribe;
      const offset = offsetOf(text2 ?? "0");
      const position = recoverable && epoch !== void 0 && offset !== void 0 ? { epoch, offset } : void 0;
      const recovered = reply.subscribe.recovered === true && position !== void 0;
      const after = recovered ? { after: startOf(all2, position.offset) } : {};
      const answer2 = { _tag: "subscribed", topic, position, recovered, ...after };
      return [epoch === void 0 ? answer2 : { ...answer2, epoch }, ...publications(topic, all2)];
    }
    return reply.unsubscribe !== void 0 ? [] : [failed2("unknown", `a reply to command ${id}`)];
  };
  const ofDocument = (text2, topicOf2) => {
    if (text2 === "{}") return [pong];
    const topic = options.repeats === void 0 ? void 0 : topicOfPush(text2);
    const parsed = parseFrame(text2, topic === void 0 ? void 0 : options.repeats?.(topic, text2));
    if (Either3.isLeft(parsed)) return [{ _tag: "failure", failure: parsed.left }];
    if (isEmptyObject(parsed.right)) return [pong];
    const decoded = decodeDocument(parsed.right);
    if (Either3.isLeft(decoded)) return [{ _tag: "failure", failure: decoded.left }];
    if (decoded.right.push !== void 0) return ofPush(decoded.right.push);
    if (decoded.right.id !== void 0) return ofReply(decoded.right.id, decoded.right, topicOf2);
    return [failed2("unknown", "neither a push nor a reply")];
  };
  return {
    hello: `{"id":${helloId},"connect":{}}`,
    acknowledges: true,
    topics: options.topics,
    subscribe: (channel, id, since) => JSON.stringify({ id, subscribe: since === void 0 ? { channel } : { channel, recover: true, ...since } }),
    unsubscribe: (channel, id) => JSON.stringify({ id, unsubscribe: { channel } }),
    isTerminal,
    decode: (text2, topicOf2) => {
      if (!text2.includes("\n")) return ofDocument(text2, topicOf2);
      const messages = [];
      const documents = text2.split("\n", maxDocuments + 1);
      for (const document of documents.slice(0, maxDocuments)) {
        const trimmed = document.trim();
        if (trimmed !== "") messages.push(...ofDocument(trimmed, topicOf2));
      }
      if (documents.length > maxDocuments) {
        messages.push(failed2("too_large", `a frame of over ${maxDocuments} documents`));
      }
      return messages;
    }
  };
};

// src/streams/protocols/Repeats.ts
var shortest = 512;
var longest = 64 * 1024;
var mostRows = 256;
var longestRow = 2048;
var mostTopics = 4096;
var longestRest = 1024;
var rested = (window) => {
  if (window.rows.length > 0 || window.rest === 0) return true;
  window.rest -= 1;
  return false;
};
var make5 = (read3) => {
  const windows3 = /* @__PURE__ */ new Map();
  let last;
  const windowOf = (topic) => {
    let window = windows3.get(topic);
    if (window === void 0) {
      if (windows3.size >= mostTopics) windows3.clear();
      window = { rows: [], depth: 0, sample: void 0, rest: 0, lastRest: 0 };
      windows3.set(whole(topic), window);
    }
    return window;
  };
  return {
    rowsOf: (topic, text2) => {
      if (text2.length < shortest || text2.length > longest) return void 0;
      const window = windowOf(topic);
      return rested(window) ? reading(window, text2, (listed2) => void (last = listed2)) : void 0;
    },
    map: (list2) => last?.list === list2 ? last.rows.map((row3) => row3.made ??= read3(row3.value)) : list2.map(read3)
  };
};
var reading = (window, text2, onListed) => {
  const isKept = window.rows.length > 0 || window.sample !== void 0 && text2.includes(window.sample);
  const rows = [];
  let before = [];
  let depth2 = 0;
  let sample;
  let found = 0;
  let next2 = 0;
  return {
    isKept,
    begin: (at) => {
      depth2 = at;
      if (window.depth === depth2) before = window.rows;
    },
    known: (at) => {
      for (let i = next2; i < before.length; i++) {
        const row3 = before[i];
        if (row3 === void 0 || text2.slice(at, at + row3.text.length) !== row3.text) continue;
        next2 = i + 1;
        found += 1;
        rows.push(row3);
        return row3;
      }
      return void 0;
    },
    read: (from, to, value2) => {
      if (to - from > longestRow) return;
      if (!isKept) sample ??= whole(text2.slice(from, to));
      else rows.push({ text: whole(text2.slice(from, to)), value: value2, made: void 0 });
    },
    end: (list2) => {
      const isWorthIt = isKept && (found > 0 || before.length === 0);
      if (isWorthIt && rows.length === list2.length && rows.length <= mostRows) {
        Object.assign(window, { rows, depth: depth2, sample: void 0, lastRest: 0 });
        onListed({ list: list2, rows });
        return;
      }
      const isFirstLook = !isKept && window.sample === void 0 && list2.length > 1;
      const lastRest = isFirstLook ? window.lastRest : Math.min(longestRest, Math.max(1, window.lastRest * 2));
      Object.assign(window, {
        rows: [],
        sample: isFirstLook ? sample : void 0,
        rest: isFirstLook ? 0 : lastRest,
        lastRest
      });
    }
  };
};

// src/streams/exchanges/Bitpin.ts
var ListedMarket = Schema5.Struct({
  symbol: Schema5.String,
  base: Schema5.String,
  quote: Schema5.String,
  tradable: Schema5.Boolean
});
var Window = Schema5.Struct({
  symbol: Schema5.optional(Schema5.String),
  event_time: Schema5.optional(Schema5.Unknown),
  matches: Schema5.optional(Schema5.Array(Schema5.Unknown))
});
var Match = Schema5.Struct({
  id: Schema5.String.pipe(Schema5.pattern(/^[\w.-]{1,64}$/)),
  price: Schema5.String,
  base_amount: Schema5.String,
  quote_amount: Schema5.optional(Schema5.String),
  side: Side,
  time: Schema5.optional(Schema5.Unknown)
});
var Levels = Schema5.Array(Schema5.Tuple(Schema5.String, Schema5.String));
var OrderBook = Schema5.Struct({
  symbol: Schema5.optional(Schema5.String),
  bids: Levels,
  asks: Levels,
  event_time: Schema5.optional(Schema5.Unknown)
});
var decodeList = decoder(Schema5.Array(Schema5.Unknown));
var decodeMarket = decoder(ListedMarket);
var decodeWindow = rowDecoder(Window);
var decodeMatch = rowDecoder(Match);
var decodeBook = rowDecoder(OrderBook);
var tradesPrefix = "matches:";
var booksPrefix = "orderbook:";
var failed3 = (failure2) => ({ _tag: "failure", failure: failure2 });
var amountOf = (match5, price) => {
  const amount = positive("base_amount", match5.base_amount);
  if (Either4.isRight(amount) || canonical(match5.base_amount) !== "0") return amount;
  const quote2 = match5.quote_amount === void 0 ? void 0 : canonical(match5.quote_amount);
  return quote2 === void 0 ? amount : positive("base_amount", divide(quote2, price) ?? "0");
};
var read2 = (candidate) => {
  const decoded = decodeMatch(candidate);
  if (Either4.isLeft(decoded)) return Either4.left(decoded.left);
  const match5 = decoded.right;
  const price = positive("price", match5.price);
  if (Either4.isLeft(price)) return Either4.left(price.left);
  return Either4.map(amountOf(match5, price.right), (amount) => ({
    row: { id: match5.id, price: price.right, amount, side: match5.side, ...timeOf(match5.time) },
    said: match5.time
  }));
};
var windows = make5(read2);
var publication = (topic, data, offset) => {
  if (topic.startsWith(booksPrefix)) return book(topic.slice(booksPrefix.length), data, offset);
  if (!topic.startsWith(tradesPrefix)) return [failed3(make3("unknown", `channel ${topic}`))];
  const exchangeSymbol = topic.slice(tradesPrefix.length);
  const window = decodeWindow(data);
  if (Either4.isLeft(window)) return [failed3(window.left)];
  const { event_time, matches, symbol } = window.right;
  if (matches === void 0) return [failed3(make3("unknown", "a publication without matches"))];
  if (symbol !== void 0 && symbol !== exchangeSymbol) {
    return [failed3(make3("symbol", `${symbol} on ${topic}`))];
  }
  const messages = [];
  const rows = [];
  for (const one of windows.map(matches)) {
    if (Either4.isLeft(one)) {
      messages.push(failed3(one.left));
      continue;
    }
    const time = one.right.said ?? event_time;
    const row3 = time === one.right.said ? one.right.row : { ...one.right.row, ...timeOf(time) };
    rows.push(row3);
    if (row3.timestamp === null && time !== void 0) {
      messages.push(failed3(make3("time", JSON.stringify(time))));
    }
  }
  if (rows.length > 0) messages.push({ _tag: "trades", exchangeSymbol, rows: oldestFirst(rows) });
  return messages;
};
var timeOf = (time) => (typeof time === "string" ? epochSeconds(time) ?? isoTime(time) : void 0) ?? { timestamp: null };
var oldestFirst = (rows) => {
  const first = rows[0]?.timestamp ?? 0;
  const last = rows[rows.length - 1]?.timestamp ?? 0;
  return first < last ? rows : rows.reverse();
};
var sidesOf = ({ asks, bids }) => Either4.flatMap(levels("bids", bids), (bids2) => Either4.map(levels("asks", asks), (asks2) => ({ bids: bids2, asks: asks2 })));
var book = (exchangeSymbol, data, sequence) => {
  const found = decodeBook(data);
  if (Either4.isLeft(found)) return [failed3(found.left)];
  const { event_time, symbol } = found.right;
  if (symbol !== void 0 && symbol !== exchangeSymbol) {
    return [failed3(make3("symbol", `${symbol} on ${booksPrefix}${exchangeSymbol}`))];
  }
  const sides2 = sidesOf(found.right);
  if (Either4.isLeft(sides2)) return [failed3(sides2.left)];
  const time = (typeof event_time === "string" ? isoTime(event_time) : void 0) ?? { timestamp: null };
  const part = {
    _tag: "books",
    exchangeSymbol,
    part: "whole",
    ...sides2.right,
    previous: void 0,
    sequence,
    ...time
  };
  return event_time === void 0 || time.timestamp !== null ? [part] : [part, failed3(make3("time", JSON.stringify(event_time)))];
};
var picture = (body) => Either4.flatMap(decodeBook(body), (found) => Either4.map(sidesOf(found), (sides2) => {
  const time = typeof found.event_time === "string" ? epochMillis2(found.event_time) : void 0;
  return { ...sides2, previous: void 0, sequence: void 0, ...time ?? { timestamp: null } };
}));
var matchesPath = ({ exchangeSymbol }) => `/api/v1/mth/matches/${encodeURIComponent(exchangeSymbol)}/`;
var historyRow = (candidate) => Either4.map(read2(candidate), ({ row: row3 }) => row3);
var bitpin = {
  id: "bitpin",
  title: "BitPin",
  endpoints: {
    apiUrl: "https://api.bitpin.ir",
    wsUrl: "wss://centrifugo.bitpin.ir/connection/websocket"
  },
  limits: {
    subscriptionsPerConnection: 100,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 100,
    rotateAfter: void 0
  },
  rest: {
    markets: {
      path: "/api/v1/mkt/markets/",
      decode: (body) => Either4.map(
        decodeList(body),
        (rows) => rows.map(
          (row3) => Either4.map(decodeMarket(row3), ({ symbol, ...market }) => ({ exchangeSymbol: symbol, ...market }))
        )
      )
    },
    history: {
      path: matchesPath,
      decode: (body) => Either4.map(decodeList(body), (rows) => newestLast(rows.map(historyRow))),
      askAfter: 0
    },
    check: { path: matchesPath, decode: decodeList }
  },
  socket: protocol({
    topics: (channel, { exchangeSymbol }) => [(channel === "trades" ? tradesPrefix : booksPrefix) + exchangeSymbol],
    publication,
    repeats: (topic, text2) => topic.startsWith(tradesPrefix) ? windows.rowsOf(topic, text2) : void 0
  }),
  books: {
    link: "replaced",
    levels: 50,
    numbers: "offset",
    picture: {
      path: ({ exchangeSymbol }) => `/api/v1/mth/orderbook/${encodeURIComponent(exchangeSymbol)}/`,
      decode: picture
    }
  }
};

// src/streams/exchanges/Nobitex.ts
import * as Either6 from "effect/Either";
import * as Schema7 from "effect/Schema";

// src/streams/protocols/Levels.ts
import * as Either5 from "effect/Either";
import * as Schema6 from "effect/Schema";
var Side2 = Schema6.Array(Schema6.Tuple([Schema6.String, Schema6.String], Schema6.Unknown));
var whole2 = (name, rows) => {
  const levels2 = [];
  for (const row3 of rows) {
    const [price, amount] = [canonical(row3[0]), canonical(row3[1])];
    if (price === void 0 || amount === void 0 || !isPositive(price) || amount.startsWith("-")) {
      return Either5.left(make3("number", `${name}: ${row3[0]} x ${row3[1]}`));
    }
    if (amount !== "0") levels2.push([price, amount]);
  }
  return Either5.right(levels2);
};

// src/streams/exchanges/Nobitex.ts
var Stats = Schema7.Struct({
  status: Schema7.Literal("ok"),
  stats: Schema7.Record({ key: Schema7.String, value: Schema7.Unknown })
});
var Stat = Schema7.Struct({ isClosed: Schema7.Boolean });
var Trade2 = Schema7.Struct({ time: Schema7.String, price: Schema7.String, volume: Schema7.String, type: Side });
var Trades = Schema7.Struct({ status: Schema7.Literal("ok"), trades: Schema7.Array(Schema7.Unknown) });
var Book2 = Schema7.Struct({ bids: Side2, asks: Side2, lastUpdate: Schema7.optional(Schema7.Unknown) });
var Failed = Schema7.Struct({
  status: Schema7.Literal("failed"),
  code: Schema7.optional(Schema7.Unknown),
  message: Schema7.optional(Schema7.Unknown),
  backOff: Schema7.optional(Schema7.Unknown)
});
var decodeStats = decoder(Stats);
var decodeStat = decoder(Stat);
var decodeTrades = decoder(Trades);
var decodeBook2 = rowDecoder(Book2);
var decodeFailed = decoder(Failed);
var tradesPrefix2 = "public:trades-";
var booksPrefix2 = "public:orderbook-";
var failed4 = (failure2) => ({ _tag: "failure", failure: failure2 });
var rowOf = tradeDecoder(Trade2, {
  price: "price",
  amount: "volume",
  side: ({ type }) => type,
  // Part of the id: without it the trade cannot be told from others.
  time: ["time", epochMillis2]
});
var trade = (exchangeSymbol, data) => Either6.match(rowOf(data), {
  onLeft: failed4,
  onRight: (row3) => ({ _tag: "trades", exchangeSymbol, rows: [row3] })
});
var oldestFirst2 = (rows) => [...rows].sort((a, b) => timeOf2(a) - timeOf2(b));
var timeOf2 = (row3) => Either6.isRight(row3) ? row3.right.timestamp ?? 0 : 0;
var pictureOf = (body, sequence) => Either6.gen(function* () {
  const book3 = yield* decodeBook2(body);
  const bids = yield* whole2("bids", book3.bids);
  const asks = yield* whole2("asks", book3.asks);
  const time = typeof book3.lastUpdate === "string" ? epochMillis2(book3.lastUpdate) : void 0;
  const picture3 = { bids, asks, previous: void 0, sequence, ...time ?? { timestamp: null } };
  return { picture: picture3, odd: time === void 0 ? book3.lastUpdate : void 0 };
});
var book2 = (exchangeSymbol, data, offset) => Either6.match(pictureOf(data, offset), {
  onLeft: (failure2) => [failed4(failure2)],
  onRight: ({ odd, picture: picture3 }) => [
    { _tag: "books", exchangeSymbol, part: "whole", ...picture3 },
    ...odd === void 0 ? [] : [failed4(make3("time", `lastUpdate: ${JSON.stringify(odd)}`))]
  ]
});
var publication2 = (topic, data, offset) => {
  if (topic.startsWith(tradesPrefix2)) return [trade(topic.slice(tradesPrefix2.length), data)];
  if (topic.startsWith(booksPrefix2)) return book2(topic.slice(booksPrefix2.length), data, offset);
  return [failed4(make3("unknown", `channel ${topic}`))];
};
var listed = ([key, stat]) => {
  const name = key.toUpperCase();
  const end = name.lastIndexOf("-");
  if (end < 0) return Either6.left(make3("symbol", key));
  const [base, quote2] = [name.slice(0, end), name.slice(end + 1)];
  return Either6.map(decodeStat(stat), ({ isClosed }) => ({
    exchangeSymbol: base + (quote2 === "RLS" ? "IRT" : quote2),
    base,
    quote: quote2,
    tradable: !isClosed
  }));
};
var text = (value2) => typeof value2 === "string" ? value2 : void 0;
var refusal = ({ backOff, code, message }) => ({
  message: [text(code), text(message)].filter((part) => part !== void 0).join(": "),
  retryAfter: text(backOff)
});
var tradesPath = ({ exchangeSymbol }) => `/v2/trades/${encodeURIComponent(exchangeSymbol)}`;
var clockUnit = 1;
var nobitex = {
  id: "nobitex",
  title: "Nobitex",
  byDefault: false,
  names: { RLS: "IRT" },
  units: { IRT: -1 },
  clockUnit,
  endpoints: { apiUrl: "https://apiv2.nobitex.ir", wsUrl: "wss://ws.nobitex.ir/connection/websocket" },
  limits: {
    subscriptionsPerConnection: 300,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 100,
    rotateAfter: void 0
  },
  rest: {
    markets: {
      path: "/market/stats",
      decode: (body) => Either6.map(decodeStats(body), ({ stats }) => Object.entries(stats).map(listed))
    },
    history: {
      path: tradesPath,
      decode: (body) => Either6.map(decodeTrades(body), ({ trades: trades2 }) => oldestFirst2(trades2.map(rowOf))),
      // An answer may be as old as a second: what is asked twice within one comes from a cache.
      askAfter: clockUnit + 2200
    },
    check: { path: tradesPath, decode: decodeTrades },
    refused: ({ body }) => Either6.match(decodeFailed(body), { onLeft: () => void 0, onRight: refusal })
  },
  socket: protocol({
    topics: (channel, { exchangeSymbol }) => [(channel === "trades" ? tradesPrefix2 : booksPrefix2) + exchangeSymbol],
    publication: publication2
  }),
  books: {
    link: "replaced",
    levels: 24,
    numbers: "offset",
    picture: {
      path: ({ exchangeSymbol }) => `/v3/orderbook/${encodeURIComponent(exchangeSymbol)}`,
      decode: (body) => Either6.map(pictureOf(body, void 0), ({ picture: picture3 }) => picture3)
    }
  }
};

// src/streams/exchanges/Ramzinex.ts
import * as Either7 from "effect/Either";
import * as Schema8 from "effect/Schema";
var answer = (data) => Schema8.Struct({ status: Schema8.Literal("0"), data });
var Asset = Schema8.Struct({ en: Schema8.String });
var Flag = Schema8.optional(Schema8.Literal("0", "1"));
var ListedMarket2 = Schema8.Struct({
  pair_id: Schema8.String.pipe(Schema8.pattern(/^\d{1,9}$/)),
  base_currency_symbol: Asset,
  quote_currency_symbol: Asset,
  is_delist: Flag,
  is_temporarily_suspended: Flag
});
var Trade3 = Schema8.Tuple(
  [
    Schema8.String,
    Schema8.String,
    Schema8.Unknown,
    Side,
    Schema8.String,
    Schema8.String.pipe(Schema8.pattern(/^[\w.-]{1,64}$/))
  ],
  Schema8.Unknown
);
var Book3 = Schema8.Struct({ buys: Side2, sells: Side2 });
var List = Schema8.Array(Schema8.Unknown);
var decodeRows = rowDecoder(List);
var decodeList2 = decoder(answer(List));
var decodeMarket2 = decoder(ListedMarket2);
var decodeBook3 = rowDecoder(Book3);
var decodeBookAnswer = decoder(answer(Book3));
var decodeStatus = decoder(Schema8.Struct({ status: Schema8.String }));
var windowRows = 50;
var tradesPrefix3 = "last-trades:";
var bookPrefix = "orderbook:";
var failed5 = (failure2) => ({ _tag: "failure", failure: failure2 });
var tradeOf = tradeDecoder(Trade3, {
  id: "5",
  price: "0",
  amount: "1",
  side: (row3) => row3[3],
  time: ["4", epochSeconds]
});
var windows2 = make5(tradeOf);
var trades = (exchangeSymbol, data) => {
  const list2 = decodeRows(data);
  if (Either7.isLeft(list2)) return [failed5(list2.left)];
  const messages = [];
  const rows = [];
  for (const row3 of newestLast(windows2.map(list2.right))) {
    if (Either7.isLeft(row3)) messages.push(failed5(row3.left));
    else rows.push(row3.right);
  }
  if (rows.length === 0) return messages;
  return [...messages, { _tag: "trades", exchangeSymbol, rows, isFullWindow: list2.right.length >= windowRows }];
};
var pictureOf2 = ({ buys, sells }, sequence) => Either7.flatMap(
  whole2("buys", buys),
  (bids) => Either7.map(
    whole2("sells", sells),
    (asks) => ({ bids, asks, previous: void 0, sequence, timestamp: null })
  )
);
var publication3 = (topic, data, offset) => {
  if (topic.startsWith(tradesPrefix3)) return trades(topic.slice(tradesPrefix3.length), data);
  if (!topic.startsWith(bookPrefix)) return [failed5(make3("unknown", `channel ${topic}`))];
  const exchangeSymbol = topic.slice(bookPrefix.length);
  return [Either7.match(Either7.flatMap(decodeBook3(data), (book3) => pictureOf2(book3, offset)), {
    onLeft: failed5,
    onRight: (picture3) => ({ _tag: "books", exchangeSymbol, part: "whole", ...picture3 })
  })];
};
var root = "/exchange/api/v1.0/exchange";
var pathOf = (what) => ({ exchangeSymbol }) => `${root}/orderbooks/${encodeURIComponent(exchangeSymbol)}/${what}`;
var tryLater = "-82";
var ramzinex = {
  id: "ramzinex",
  title: "Ramzinex",
  byDefault: false,
  names: { IRR: "IRT" },
  units: { IRT: -1 },
  endpoints: { apiUrl: "https://publicapi.ramzinex.com", wsUrl: "wss://websocket.ramzinex.com/websocket" },
  limits: {
    subscriptionsPerConnection: 100,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 100,
    rotateAfter: void 0
  },
  rest: {
    markets: {
      path: `${root}/pairs`,
      decode: (body) => Either7.map(decodeList2(body), ({ data }) => data.map(
        (row3) => Either7.map(decodeMarket2(row3), (market) => ({
          exchangeSymbol: market.pair_id,
          base: market.base_currency_symbol.en,
          quote: market.quote_currency_symbol.en,
          tradable: market.is_delist !== "1" && market.is_temporarily_suspended !== "1"
        }))
      ))
    },
    history: {
      path: pathOf("trades"),
      decode: (body) => Either7.map(decodeList2(body), ({ data }) => newestLast(data.map(tradeOf))),
      askAfter: 0
    },
    check: { path: pathOf("trades"), decode: decodeList2 },
    refused: ({ body }) => Either7.match(decodeStatus(body), {
      onLeft: () => void 0,
      onRight: ({ status }) => status === "0" ? void 0 : { message: `status ${status}`, retryAfter: status === tryLater ? "60" : void 0 }
    })
  },
  socket: protocol({
    topics: (channel, { exchangeSymbol }) => [(channel === "trades" ? tradesPrefix3 : bookPrefix) + exchangeSymbol],
    publication: publication3,
    repeats: (topic, text2) => topic.startsWith(tradesPrefix3) ? windows2.rowsOf(topic, text2) : void 0
  }),
  books: {
    link: "replaced",
    levels: windowRows,
    numbers: "offset",
    picture: {
      path: pathOf("buys_sells"),
      decode: (body) => Either7.flatMap(decodeBookAnswer(body), ({ data }) => pictureOf2(data, void 0))
    }
  }
};

// src/streams/exchanges/Tabdeal.ts
import * as Duration from "effect/Duration";
import * as Either8 from "effect/Either";
import * as Schema9 from "effect/Schema";
var Markets = Schema9.Union(
  Schema9.Array(Schema9.Unknown),
  Schema9.Struct({ symbols: Schema9.Array(Schema9.Unknown) })
);
var ListedMarket3 = Schema9.Struct({
  symbol: Schema9.String,
  status: Schema9.String,
  baseAsset: Schema9.String,
  quoteAsset: Schema9.String,
  isSpotTradingAllowed: Schema9.optional(Schema9.Boolean)
});
var Trade4 = Schema9.Struct({
  id: Schema9.String.pipe(Schema9.pattern(/^\d{1,20}$/)),
  price: Schema9.String,
  qty: Schema9.String,
  time: Schema9.String,
  isBuyerMaker: Schema9.Boolean
});
var Side3 = Schema9.Array(Schema9.Tuple([Schema9.String, Schema9.String], Schema9.Unknown));
var Picture = Schema9.Struct({ bids: Side3, asks: Side3 });
var Push = Schema9.Struct({
  stream: Schema9.String,
  data: Schema9.Struct({ e: Schema9.Literal("depthUpdate"), E: Schema9.Unknown, s: Schema9.String, b: Side3, a: Side3 })
});
var Answer = Schema9.Struct({ id: Schema9.String, result: Schema9.Null });
var Failed2 = Schema9.Struct({ code: Schema9.String, msg: Schema9.optional(Schema9.String) });
var Denied = Schema9.Struct({ id: Schema9.String, ...Failed2.fields });
var decodeMarkets = decoder(Markets);
var decodeMarket3 = decoder(ListedMarket3);
var decodeTrades2 = decoder(Schema9.Array(Schema9.Unknown));
var decodePicture = rowDecoder(Picture);
var decodePush = rowDecoder(Push);
var isAnswer = Schema9.is(Answer);
var isFailed = Schema9.is(Failed2);
var isDenied = Schema9.is(Denied);
var failure = (reason, detail) => ({
  _tag: "failure",
  failure: make3(reason, detail)
});
var side = ({ isBuyerMaker }) => isBuyerMaker ? "sell" : "buy";
var rowOf2 = tradeDecoder(Trade4, { id: "id", price: "price", amount: "qty", side, time: ["time", epochMillis2] });
var levelsOf = (side2) => {
  const levels2 = [];
  for (const [price, amount] of side2) {
    const read3 = Either8.all([positive("price", price), amountOf2(amount)]);
    if (Either8.isLeft(read3)) return Either8.left(read3.left);
    if (read3.right[1] !== "0") levels2.push(read3.right);
  }
  return Either8.right(levels2);
};
var amountOf2 = (text2) => canonical(text2) === "0" ? Either8.right("0") : positive("amount", text2);
var topicSuffix = "@depth@2000ms";
var timeOf3 = epochMillis2;
var bookOf = ({ data: { E, a, b, s }, stream }) => {
  if (!stream.endsWith(topicSuffix)) return failure("unknown", stream);
  if (stream.slice(0, -topicSuffix.length) !== s.toLowerCase()) return failure("symbol", `${s} on ${stream}`);
  return Either8.match(Either8.all([levelsOf(b), levelsOf(a)]), {
    onLeft: (failure2) => ({ _tag: "failure", failure: failure2 }),
    onRight: ([bids, asks]) => ({
      _tag: "books",
      exchangeSymbol: s,
      part: "whole",
      bids,
      asks,
      previous: void 0,
      sequence: void 0,
      ...(typeof E === "string" ? timeOf3(E) : void 0) ?? { timestamp: null }
    })
  });
};
var decode = (text2) => {
  const parsed = parseFrame(text2);
  if (Either8.isLeft(parsed)) return [{ _tag: "failure", failure: parsed.left }];
  const value2 = parsed.right;
  if (typeof value2 !== "object" || value2 === null) return [failure("unknown", text2)];
  if ("stream" in value2) {
    const push = decodePush(value2);
    return [Either8.isLeft(push) ? { _tag: "failure", failure: push.left } : bookOf(push.right)];
  }
  if (isAnswer(value2)) return [{ _tag: "granted", id: value2.id }];
  const denied = "error" in value2 && typeof value2.error === "object" ? { ...value2, ...value2.error } : value2;
  if (!isDenied(denied)) return [failure("unknown", text2)];
  const { code, id, msg: message = "" } = denied;
  return [{ _tag: "denied", id, code, message, remedy: "later" }];
};
var unknownMarket = ["1206", "1211"];
var tooOften = "1216";
var usualRest = "60";
var refused = ({ body }) => isFailed(body) ? {
  message: `${body.code} ${body.msg ?? ""}`.trim(),
  retryAfter: body.code === tooOften ? usualRest : void 0,
  isUnknownMarket: unknownMarket.includes(body.code)
} : void 0;
var pathOf2 = (what, limit) => ({ exchangeSymbol }) => `/r/api/v1/${what}?symbol=${encodeURIComponent(exchangeSymbol)}&limit=${limit}`;
var tabdeal = {
  id: "tabdeal",
  title: "Tabdeal",
  byDefault: false,
  clockUnit: 1,
  endpoints: { apiUrl: "https://api1.tabdeal.org", wsUrl: "wss://api1.tabdeal.org/stream/" },
  limits: {
    subscriptionsPerConnection: 50,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 5,
    rotateAfter: void 0
  },
  rest: {
    markets: {
      // Without a limit it may give 50.
      path: "/r/api/v1/exchangeInfo?limit=1000",
      decode: (body) => Either8.map(
        decodeMarkets(body),
        (list2) => ("symbols" in list2 ? list2.symbols : list2).map(
          (row3) => Either8.map(decodeMarket3(row3), ({ baseAsset, isSpotTradingAllowed, quoteAsset, status, symbol }) => ({
            exchangeSymbol: symbol,
            base: baseAsset,
            quote: quoteAsset,
            tradable: status === "TRADING" && isSpotTradingAllowed !== false
          }))
        )
      )
    },
    history: {
      path: pathOf2("trades", 1e3),
      decode: (body) => Either8.map(decodeTrades2(body), (rows) => newestLast(rows.map(rowOf2))),
      askAfter: 0
    },
    polling: { every: Duration.seconds(10) },
    check: { path: () => "/r/api/v1/ping", decode: Either8.right },
    refused
  },
  socket: {
    hello: void 0,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }) => channel === "books" ? [exchangeSymbol.toLowerCase() + topicSuffix] : [],
    subscribe: (topic, id) => JSON.stringify({ method: "SUBSCRIBE", params: [topic], id }),
    batch: { size: 20, subscribe: (params, id) => JSON.stringify({ method: "SUBSCRIBE", params, id }) },
    unsubscribe: void 0,
    // Its own client pings so often.
    keepAlive: { every: Duration.seconds(30) },
    isTerminal: () => false,
    decode
  },
  books: {
    link: "replaced",
    levels: void 0,
    numbers: "none",
    picture: {
      path: pathOf2("depth", 50),
      decode: (body) => Either8.flatMap(
        decodePicture(body),
        ({ asks, bids }) => Either8.map(Either8.all([levelsOf(bids), levelsOf(asks)]), ([bids2, asks2]) => ({
          bids: bids2,
          asks: asks2,
          previous: void 0,
          sequence: void 0,
          timestamp: null
        }))
      )
    }
  }
};

// src/streams/exchanges/Wallex.ts
import * as Duration2 from "effect/Duration";
import * as Either9 from "effect/Either";
import * as Schema10 from "effect/Schema";
var Markets2 = Schema10.Struct({
  success: Schema10.Literal(true),
  result: Schema10.Struct({ markets: Schema10.Array(Schema10.Unknown) })
});
var ListedMarket4 = Schema10.Struct({
  symbol: Schema10.String,
  base_asset: Schema10.String,
  quote_asset: Schema10.String,
  is_spot: Schema10.Boolean
});
var Trade5 = Schema10.Struct({
  isBuyOrder: Schema10.Boolean,
  quantity: Schema10.String,
  price: Schema10.String,
  timestamp: Schema10.String
});
var Trades2 = Schema10.Struct({
  success: Schema10.Literal(true),
  result: Schema10.Struct({ latestTrades: Schema10.Array(Schema10.Unknown) })
});
var Side4 = Schema10.Array(Schema10.Struct({ price: Schema10.String, quantity: Schema10.String }));
var Depth = Schema10.Struct({ success: Schema10.Literal(true), result: Schema10.Struct({ bid: Side4, ask: Side4 }) });
var decodeTrades3 = decoder(Trades2);
var decodeMarkets2 = decoder(Markets2);
var decodeMarket4 = decoder(ListedMarket4);
var decodeSuccess = decoder(Schema10.Struct({ success: Schema10.Literal(true) }));
var decodeSide = rowDecoder(Side4);
var decodeDepth = decoder(Depth);
var tradesSuffix = "@trade";
var sides = { "@buyDepth": "bids", "@sellDepth": "asks" };
var fail2 = (reason, detail) => [
  { _tag: "failure", failure: make3(reason, detail) }
];
var rowOf3 = tradeDecoder(Trade5, {
  price: "price",
  amount: "quantity",
  side: ({ isBuyOrder }) => isBuyOrder ? "buy" : "sell",
  // Part of the id: without it the trade cannot be told from others.
  time: ["timestamp", isoTime]
});
var trade2 = (exchangeSymbol, data) => Either9.match(rowOf3(data), {
  onLeft: (failure2) => ({ _tag: "failure", failure: failure2 }),
  onRight: (row3) => ({ _tag: "trades", exchangeSymbol, rows: [row3] })
});
var sideOf = (name, rows) => levels(name, rows.map(({ price, quantity }) => [price, quantity]));
var depth = (exchangeSymbol, part, data) => Either9.match(Either9.flatMap(decodeSide(data), (rows) => sideOf(part, rows)), {
  onLeft: (failure2) => ({ _tag: "failure", failure: failure2 }),
  onRight: (side2) => ({
    _tag: "books",
    exchangeSymbol,
    part,
    bids: part === "bids" ? side2 : [],
    asks: part === "asks" ? side2 : [],
    previous: void 0,
    sequence: void 0,
    timestamp: null
  })
});
var picture2 = (body) => Either9.flatMap(
  decodeDepth(body),
  ({ result }) => Either9.flatMap(sideOf("bid", result.bid), (bids) => Either9.map(sideOf("ask", result.ask), (asks) => ({
    bids,
    asks,
    previous: void 0,
    sequence: void 0,
    timestamp: null
  })))
);
var maxPing = 256;
var ping = /^(?:\s*ping\s*|\s*"ping"\s*|\s*\[\s*"ping".*|\s*\{\s*"ping"\s*:.*)$/is;
var pongTo = (text2) => text2.replace(/ping/i, (word2) => word2 === word2.toUpperCase() ? "PONG" : "pong");
var isGreeting = (value2) => typeof value2 === "object" && value2 !== null && "sid" in value2;
var decode2 = (text2) => {
  if (text2.length <= maxPing && ping.test(text2)) return [{ _tag: "ping", reply: pongTo(text2) }];
  const parsed = parseFrame(text2);
  if (Either9.isLeft(parsed)) return [{ _tag: "failure", failure: parsed.left }];
  const value2 = parsed.right;
  if (!Array.isArray(value2)) return isGreeting(value2) ? [] : fail2("unknown", text2);
  const [channel, data] = value2;
  if (typeof channel !== "string") return fail2("unknown", text2);
  if (channel.endsWith(tradesSuffix)) return [trade2(channel.slice(0, -tradesSuffix.length), data)];
  for (const [suffix, part] of Object.entries(sides)) {
    if (channel.endsWith(suffix)) return [depth(channel.slice(0, -suffix.length), part, data)];
  }
  return fail2("unknown", text2);
};
var tradesPath2 = ({ exchangeSymbol }) => `/v1/trades?symbol=${encodeURIComponent(exchangeSymbol)}`;
var second = 1e3;
var wallex = {
  id: "wallex",
  title: "Wallex",
  names: { TMN: "IRT" },
  clockUnit: second,
  endpoints: { apiUrl: "https://api.wallex.ir", wsUrl: "wss://api.wallex.ir/ws" },
  limits: {
    subscriptionsPerConnection: 50,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 50,
    // It cuts connections after 30 to 80 minutes (docs/design/exchanges/wallex.md "Limits").
    rotateAfter: Duration2.minutes(25)
  },
  rest: {
    markets: {
      path: "/hector/web/v1/markets",
      decode: (body) => Either9.map(
        decodeMarkets2(body),
        ({ result }) => result.markets.map(
          (row3) => Either9.map(decodeMarket4(row3), (market) => ({
            exchangeSymbol: market.symbol,
            base: market.base_asset,
            quote: market.quote_asset,
            tradable: market.is_spot
          }))
        )
      )
    },
    history: {
      path: tradesPath2,
      decode: (body) => Either9.map(decodeTrades3(body), ({ result }) => newestLast(result.latestTrades.map(rowOf3))),
      // A whole second counts as over two seconds after it began.
      askAfter: second + 2200
    },
    check: { path: tradesPath2, decode: decodeSuccess }
  },
  socket: {
    hello: void 0,
    acknowledges: false,
    topics: (channel, { exchangeSymbol }) => (channel === "trades" ? [tradesSuffix] : Object.keys(sides)).map((suffix) => exchangeSymbol + suffix),
    subscribe: (channel) => JSON.stringify(["subscribe", { channel }]),
    // No topic can be left: a book that is silent is mended by a new connection, which must not be that of trades.
    connection: (channel) => ({ kind: channel }),
    // A connection may send 50 messages in its life, and those are its subscriptions.
    unsubscribe: void 0,
    isTerminal: () => false,
    decode: decode2
  },
  books: {
    link: "replaced",
    levels: 50,
    numbers: "none",
    picture: {
      path: ({ exchangeSymbol }) => `/v1/depth?symbol=${encodeURIComponent(exchangeSymbol)}`,
      decode: picture2
    }
  }
};

// src/streams/exchanges/index.ts
var exchanges = { bitpin, wallex, nobitex, ramzinex, tabdeal };

// lab/w.ts
var f = make(shapes.window, 60);
var texts = Array.from({ length: 12e3 }, () => f.next().text);
var topicOf = () => void 0;
for (let r = 0; r < 12; r++) {
  const t0 = process.cpuUsage();
  let rows = 0;
  for (const t of texts) for (const m of exchanges.bitpin.socket.decode(t, topicOf)) if (m._tag === "trades") rows += m.rows.length;
  const t1 = process.cpuUsage(t0);
  console.log(rows, ((t1.user + t1.system) / texts.length).toFixed(2), "us a frame");
}
