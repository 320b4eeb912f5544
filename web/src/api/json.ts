/** JSON without loss of digits: integers beyond 2^53, such as times in nanoseconds, become `bigint`. */

/** Marks an integer that was put into quotes; no text of the input keeps it at its start. */
const MARK = "\\u0001";
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LONG = /\d{16}/;
const LONG_INTEGER = /^-?\d{16,}$/;

/**
 * Parses JSON; integers that a `number` cannot represent become `bigint`.
 *
 * The reviver of `JSON.parse` would need the source text of each value, which not every browser has.
 *
 * @throws SyntaxError the text is not JSON
 */
export function parseJson(text: string): unknown {
  if (!LONG.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKENS, (token) => {
    if (token.startsWith('"')) return token.startsWith(`"${MARK}`) ? `"${MARK}${token.slice(1)}` : token;
    return LONG_INTEGER.test(token) ? `"${MARK}${token}"` : token;
  });
  return JSON.parse(marked, (_key, value) => {
    if (typeof value !== "string" || !value.startsWith("\u0001")) return value;
    if (value.startsWith("\u0001\u0001")) return value.slice(1);
    const exact = BigInt(value.slice(1));
    return exact >= BigInt(Number.MIN_SAFE_INTEGER) && exact <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(exact) : exact;
  });
}

/** JSON of a value with `bigint`, for people: integers keep their digits. */
export function printJson(value: unknown, indent?: number): string {
  const marked = JSON.stringify(value, (_key, item) => (typeof item === "bigint" ? `\u0001${item}` : item), indent);
  return marked.replace(/"\\u0001(-?\d+)"/g, "$1");
}
