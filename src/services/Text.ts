/**
 * Texts of others (an exchange, a broker, the system) as they may be shown: they must not forge a line, move a cursor, or tell a secret
 * (docs/design/platform.md "Messages of others").
 */

/** Of a class of characters: all of C0 and C1, DEL, the two line separators, and what turns or marks the reading direction. */
const unprintable = "\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069"

const each = new RegExp(`[${unprintable}]`, "g")

const blanks = new RegExp(`[\\s${unprintable}]+`, "g")

/** User and password in an address; a password may have a bare `@`. */
const credentials = /\/\/[^/\s]*@/g

/** UTF-16 units of a text that are looked at: what others send may be as long as they like. */
const most = 16_384

/** An address that the bound may have cut within its password. */
const cutAddress = /\/\/[^/\s]*$/

/** One line of at most `length` UTF-16 units; whatever is blank or unprintable is a space, and credentials of addresses are gone. */
export const oneLine = (text: string, length: number = 200): string => {
  const given = text.length > most ? `${text.slice(0, most).replace(cutAddress, "")}…` : text
  const line = given.replace(credentials, "//").replace(blanks, " ").trim()
  // A character that is cut in two would be no text any more.
  return line.length > length ? `${line.slice(0, length - 1).replace(/[\ud800-\udbff]$/, "")}…` : line
}

/** As it is, but that unprintable characters are written as escapes. */
export const escaped = (text: string): string =>
  text.replace(
    each,
    (character) => character === "\n" ? "\\n" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
