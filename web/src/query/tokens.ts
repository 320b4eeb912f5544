/** Words of a condition in the syntax of `mosaico query`. */

export type Token =
  | { kind: "name" | "operator" | "open" | "close" | "comma" | "dot"; text: string; at: number; end: number }
  | { kind: "value"; text: string; value: string | number | bigint; at: number; end: number };

/** A condition that cannot be read, and where. */
export class ConditionError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = "ConditionError";
    this.at = at;
  }
}

const PATTERNS: readonly [kind: Token["kind"] | "space", RegExp][] = [
  ["space", /\s+/y],
  ["value", /-?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ["value", /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/y],
  ["operator", /==|!=|<=|>=|<|>/y],
  ["name", /[\p{L}_][\p{L}\p{N}_]*/uy],
  ["open", /[([]/y],
  ["close", /[)\]]/y],
  ["comma", /,/y],
  ["dot", /\./y],
];

/** @throws ConditionError a character that belongs to no word */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  scan: while (at < text.length) {
    for (const [kind, pattern] of PATTERNS) {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (!match) continue;
      const end = at + match[0].length;
      if (kind === "value") found.push({ kind, text: match[0], value: literal(match[0]), at, end });
      else if (kind !== "space") found.push({ kind, text: match[0], at, end });
      at = end;
      continue scan;
    }
    const quote = text[at] === '"' || text[at] === "'";
    throw new ConditionError(quote ? "the text has no closing quote" : `unexpected ${text[at]}`, at);
  }
  return found;
}

const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r" };

function literal(text: string): string | number | bigint {
  if (text.startsWith('"') || text.startsWith("'")) {
    return text.slice(1, -1).replace(/\\(.)/gs, (_, character: string) => ESCAPES[character] ?? character);
  }
  const plain = text.replaceAll("_", "");
  if (/^-?\d+$/.test(plain) && !Number.isSafeInteger(Number(plain))) return BigInt(plain);
  return Number(plain);
}
