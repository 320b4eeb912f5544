/** Reads conditions such as `imu.acceleration.x > 20 and "night" in sequence.name`, as `mosaico query` does. */

import { ConditionError, type Token, tokens } from "./tokens.ts";

export type Value = string | number | bigint | boolean | null;
export type Filter = { [key: string]: FilterValue };
type FilterValue = Value | FilterValue[] | Filter;
type Section = "sequence" | "topic" | "ontology";

/** A part of a query: conditions of one section, which one row must satisfy together, or a whole query. */
type Part = { section: Section; filter: Filter } | { section: null; filter: Filter };

const OPERATORS: Record<string, string> = {
  "==": "$eq",
  "!=": "$neq",
  "<": "$lt",
  "<=": "$leq",
  ">": "$gt",
  ">=": "$geq",
};
const FLIPPED: Record<string, string> = { $lt: "$gt", $leq: "$geq", $gt: "$lt", $geq: "$leq" };
const CONSTANTS: Record<string, boolean | null> = {
  true: true,
  false: false,
  null: null,
  True: true,
  False: false,
  None: null,
};
const FIXED: Record<string, readonly string[]> = {
  sequence: ["name", "created_timestamp", "user_metadata"],
  topic: ["name", "created_timestamp", "user_metadata", "ontology_tag", "serialization_format"],
};
const DEEPEST = 100;

/**
 * The JSON of a query, see docs/queries.md.
 *
 * @throws ConditionError the text is not a condition
 */
export function parseCondition(text: string): Filter {
  const reader = new Reader(tokens(text), text.length);
  const part = reader.either();
  reader.expectEnd();
  return queryOf(part);
}

type Operand = { path: string[]; at: number } | { value: Value | Value[]; at: number };

class Reader {
  readonly #tokens: Token[];
  readonly #length: number;
  #next = 0;
  #depth = 0;

  constructor(list: Token[], length: number) {
    this.#tokens = list;
    this.#length = length;
  }

  either(): Part {
    if (++this.#depth > DEEPEST) throw new ConditionError("the condition is nested too deeply", this.#at());
    const parts = [this.#both()];
    while (this.#takeName("or")) parts.push(this.#both());
    this.#depth -= 1;
    return combined("$or", parts);
  }

  expectEnd(): void {
    const rest = this.#peek();
    if (rest) throw new ConditionError(`unexpected ${rest.text}; combine conditions with and, or`, rest.at);
  }

  #both(): Part {
    const parts = [this.#negated()];
    while (this.#takeName("and")) parts.push(this.#negated());
    return combined("$and", parts);
  }

  #negated(): Part {
    if (this.#takeName("not")) {
      const inner = this.#negated();
      return { section: inner.section, filter: { $not: inner.filter } } as Part;
    }
    if (this.#peek()?.text === "(") {
      this.#next += 1;
      const inner = this.either();
      this.#expect(")");
      return inner;
    }
    return this.#comparison();
  }

  #comparison(): Part {
    let left = this.#operand();
    const parts: Part[] = [];
    for (let operator = this.#operator(); operator; operator = this.#operator()) {
      const right = this.#operand();
      parts.push(comparison(left, operator, right));
      left = right;
    }
    if (parts.length === 0) {
      throw new ConditionError("a comparison is missing; write one such as imu.acceleration.x > 2", this.#at());
    }
    return combined("$and", parts);
  }

  #operator(): string | null {
    const token = this.#peek();
    if (token?.kind === "operator") {
      this.#next += 1;
      return OPERATORS[token.text]!;
    }
    if (this.#takeName("in")) return "in";
    if (token?.text === "not" && this.#tokens[this.#next + 1]?.text === "in") {
      this.#next += 2;
      return "not in";
    }
    if (this.#takeName("is")) return this.#takeName("not") ? "$neq" : "$eq";
    return null;
  }

  #operand(): Operand {
    const token = this.#peek();
    if (!token) throw new ConditionError("a field or a value is missing", this.#at());
    this.#next += 1;
    if (token.kind === "value") return { value: token.value, at: token.at };
    if (token.text === "[" || token.text === "(") return { value: this.#list(), at: token.at };
    if (token.kind !== "name") throw new ConditionError(`unexpected ${token.text}`, token.at);
    if (token.text in CONSTANTS) return { value: CONSTANTS[token.text]!, at: token.at };
    return { path: this.#path(token.text), at: token.at };
  }

  #path(root: string): string[] {
    const path = [root];
    for (;;) {
      const token = this.#peek();
      if (token?.kind === "dot") {
        this.#next += 1;
        const name = this.#peek();
        if (name?.kind !== "name") throw new ConditionError("a name is missing after the dot", this.#at());
        path.push(name.text);
        this.#next += 1;
      } else if (token?.text === "[") {
        this.#next += 1;
        const key = this.#peek();
        if (key?.kind !== "value") throw new ConditionError("write a key in quotes or a position in [ ]", this.#at());
        path.push(String(key.value));
        this.#next += 1;
        this.#expect("]");
      } else return path;
    }
  }

  #list(): Value[] {
    const values: Value[] = [];
    while (this.#peek() && this.#peek()!.kind !== "close") {
      const item = this.#operand();
      if ("path" in item || Array.isArray(item.value)) throw new ConditionError("write values in the list", item.at);
      values.push(item.value);
      if (this.#peek()?.kind !== "comma") break;
      this.#next += 1;
    }
    if (this.#peek()?.kind !== "close") throw new ConditionError("the list has no end", this.#at());
    this.#next += 1;
    return values;
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#next];
  }

  #at(): number {
    return this.#peek()?.at ?? this.#length;
  }

  #takeName(name: string): boolean {
    const token = this.#peek();
    if (token?.kind !== "name" || token.text !== name) return false;
    this.#next += 1;
    return true;
  }

  #expect(text: string): void {
    if (this.#peek()?.text !== text) throw new ConditionError(`${text} is missing`, this.#at());
    this.#next += 1;
  }
}

function comparison(left: Operand, operator: string, right: Operand): Part {
  if (operator === "in" || operator === "not in") {
    const found = "path" in left ? oneOf(left, right) : containing(left, right);
    return operator === "in" ? found : ({ section: found.section, filter: { $not: found.filter } } as Part);
  }
  if (!("path" in left)) {
    if (!("path" in right)) throw new ConditionError("a comparison needs a field on one side", left.at);
    return comparison(right, FLIPPED[operator] ?? operator, left);
  }
  if ("path" in right) throw new ConditionError("compare a field with a value; put text in quotes", right.at);
  if (Array.isArray(right.value)) throw new ConditionError("write `in` before a list", right.at);
  if (right.value === null) {
    if (operator === "$eq") return condition(left.path, left.at, { $nex: null });
    if (operator === "$neq") return condition(left.path, left.at, { $ex: null });
    throw new ConditionError("compare with None by == or !=", right.at);
  }
  return condition(left.path, left.at, { [operator]: right.value });
}

function oneOf(left: { path: string[]; at: number }, right: Operand): Part {
  if ("path" in right || !Array.isArray(right.value)) throw new ConditionError("write a list after `in`", right.at);
  return condition(left.path, left.at, { $in: right.value });
}

function containing(left: Operand, right: Operand): Part {
  if (!("path" in right)) throw new ConditionError("a comparison needs a field on one side", left.at);
  const text = "value" in left ? left.value : null;
  if (typeof text !== "string") throw new ConditionError("write the text to look for in quotes", left.at);
  return condition(right.path, right.at, { $match: text });
}

function condition(path: string[], at: number, test: Filter): Part {
  const [root, ...names] = path as [string, ...string[]];
  if (names.length === 0) {
    throw new ConditionError(`${root} is not a field; write tag.field, sequence.name, topic.user_metadata.key`, at);
  }
  const fixed = FIXED[root];
  if (!fixed) return { section: "ontology", filter: { [path.join(".")]: test } };
  const [field, ...keys] = names as [string, ...string[]];
  if (!fixed.includes(field)) throw new ConditionError(`${root} has no ${field}; it has ${fixed.join(", ")}`, at);
  const section = root as Section;
  if (field === "user_metadata") {
    if (keys.length === 0) throw new ConditionError(`write a key: ${root}.user_metadata.key`, at);
    return { section, filter: { user_metadata: { [keys.join(".")]: test } } };
  }
  if (keys.length > 0) throw new ConditionError(`${root}.${field} has no fields`, at);
  return { section, filter: { [field]: test } };
}

/** Parts of one section stay together: one row must satisfy all of them. Different sections combine as queries. */
function combined(operator: "$and" | "$or", parts: Part[]): Part {
  const groups = new Map<Section | null, Filter[]>();
  for (const part of parts) groups.set(part.section, [...(groups.get(part.section) ?? []), part.filter]);
  const joined = [...groups].map(([section, filters]) => {
    return { section, filter: filters.length === 1 ? filters[0]! : { [operator]: filters } } as Part;
  });
  if (joined.length === 1) return joined[0]!;
  if (operator === "$and" && !groups.has(null))
    return { section: null, filter: Object.assign({}, ...joined.map(queryOf)) };
  return { section: null, filter: { [operator]: joined.map(queryOf) } };
}

function queryOf(part: Part): Filter {
  return part.section === null ? part.filter : { [part.section]: part.filter };
}
