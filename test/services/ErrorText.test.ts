import { assert, describe, it } from "vitest"
import { reasonOf } from "../../src/services/ErrorText.ts"

describe("what an error says", () => {
  const cases: ReadonlyArray<readonly [name: string, error: unknown, text: string]> = [
    ["its message", new Error("no"), "no"],
    ["its innermost cause", new Error("outer", { cause: new Error("middle", { cause: new Error("inner") }) }), "inner"],
    [
      "each of several, once",
      new AggregateError([new Error("a"), new Error("b", { cause: new Error("c") }), new Error("a")]),
      "a; c"
    ],
    ["several below another", new TypeError("fetch failed", { cause: new AggregateError([new Error("a")]) }), "a"],
    [
      "not our own end of a connection",
      new Error("connect ENETUNREACH 2001:db8::1:443 - Local (:::0)"),
      "connect ENETUNREACH 2001:db8::1:443"
    ],
    [
      "with what to do, where no descriptor is left",
      new Error("fetch failed", { cause: Object.assign(new Error("connect EMFILE 10.0.0.1:443"), { code: "EMFILE" }) }),
      "connect EMFILE 10.0.0.1:443; this process has all the files and sockets open that it may: raise its limit (ulimit -n, LimitNOFILE=, --ulimit nofile)"
    ],
    ["its code, if it has no words", Object.assign(new Error(""), { code: "ECONNREFUSED" }), "ECONNREFUSED"],
    ["its name, if it has nothing else", new TypeError(""), "TypeError"],
    ["whatever was thrown", "why", "why"]
  ]
  it.each(cases)("%s", (_, error, text) => assert.strictEqual(reasonOf(error), text))

  it("ends, also if it is its own cause", () => {
    const error = new Error("round")
    error.cause = error
    assert.strictEqual(reasonOf(error), "round")
    const many = new AggregateError([], "many")
    many.errors.push(many)
    assert.strictEqual(reasonOf(many), "many")
  })
})
