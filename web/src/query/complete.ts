/** Completion of conditions: fields, operators, values, words between conditions. */

import type { Json, SequenceDetail, SequenceSummary } from "../api/types.ts";
import { isAside } from "../lib/roles.ts";

/** What the recordings on the list have: paths, and values of metadata. */
export interface Vocabulary {
  /** Path to a short description. */
  fields: Map<string, string>;
  /** Paths that describe messages; they are proposed last. */
  asides: Set<string>;
  /** Path of metadata to its values, as they are written in a condition. */
  values: Map<string, Set<string>>;
}

export interface Suggestion {
  text: string;
  detail: string;
}

export interface Completion {
  /** The part of the text that a suggestion replaces. */
  from: number;
  to: number;
  suggestions: Suggestion[];
}

const MOST = 12;
const MOST_VALUES = 50;
const COMPARISONS: Suggestion[] = [
  { text: "==", detail: "equals" },
  { text: "!=", detail: "differs" },
  { text: ">", detail: "is above" },
  { text: ">=", detail: "is at least" },
  { text: "<", detail: "is below" },
  { text: "<=", detail: "is at most" },
  { text: "in", detail: "is one of" },
];
const JOINTS: Suggestion[] = [
  { text: "and", detail: "both" },
  { text: "or", detail: "one of them" },
];
const FIXED: [string, string][] = [
  ["sequence.name", "name of the sequence"],
  ["sequence.created_timestamp", "creation time, ns"],
  ["topic.name", "name of a topic"],
  ["topic.ontology_tag", "tag of a topic"],
];

export function emptyVocabulary(): Vocabulary {
  return { fields: new Map(FIXED), asides: new Set(), values: new Map() };
}

/** Adds the metadata of sequences. */
export function learnSummaries(vocabulary: Vocabulary, summaries: SequenceSummary[]): void {
  for (const summary of summaries) learnMetadata(vocabulary, "sequence.user_metadata", summary.user_metadata);
}

/** Adds tags, fields and the metadata of topics. */
export function learnDetail(vocabulary: Vocabulary, detail: SequenceDetail): void {
  for (const topic of detail.topics) {
    learnMetadata(vocabulary, "topic.user_metadata", topic.user_metadata);
    learnValue(vocabulary, "topic.ontology_tag", topic.ontology_tag);
    learnValue(vocabulary, "topic.name", topic.name);
    for (const field of topic.fields) {
      if (field.kind === "binary" || field.kind === "other") continue;
      const path = `${topic.ontology_tag}.${field.path.replaceAll("[]", "")}`;
      vocabulary.fields.set(path, field.type);
      if (isAside(field)) vocabulary.asides.add(path);
    }
  }
}

function learnMetadata(vocabulary: Vocabulary, path: string, metadata: { [key: string]: Json }): void {
  for (const [key, value] of Object.entries(metadata)) {
    const inner = keyOf(path, key);
    if (value !== null && typeof value === "object") {
      if (!Array.isArray(value)) learnMetadata(vocabulary, inner, value);
      continue;
    }
    vocabulary.fields.set(inner, "metadata");
    learnValue(vocabulary, inner, value);
  }
}

function keyOf(path: string, key: string): string {
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function literalOf(value: Json): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** The search for sequences with a value in their metadata, besides what a condition searches already. */
export function withTag(text: string, key: string, value: Json): string {
  const added = `${keyOf("sequence.user_metadata", key)} == ${literalOf(value)}`;
  if (!isCondition(text)) {
    return text.trim() === "" ? added : `${JSON.stringify(text.trim())} in sequence.name and ${added}`;
  }
  if (text.includes(added)) return text;
  return /\bor\b/.test(text) ? `(${text}) and ${added}` : `${text} and ${added}`;
}

function learnValue(vocabulary: Vocabulary, path: string, value: Json): void {
  const known = vocabulary.values.get(path) ?? new Set();
  if (known.size < MOST_VALUES) known.add(literalOf(value));
  vocabulary.values.set(path, known);
}

/** Whether a text of the search field is a condition; everything else is a part of a name. */
export function isCondition(text: string): boolean {
  return /[=<>!]=|[<>]|^\s*not\s|\s(?:in|is)\s|^\s*(?:sequence|topic)\./.test(text.replace(/"[^"]*"/g, '""'));
}

/** What may continue the text at the caret. */
export function complete(text: string, caret: number, vocabulary: Vocabulary): Completion {
  const before = text.slice(0, caret);
  const moment = /sequence\.created_timestamp\s*(?:[<>]=?|==)\s*(\w*)$/.exec(before);
  if (moment) return { from: caret - moment[1]!.length, to: caret, suggestions: moments(moment[1]!) };
  const value = /([\p{L}_][\p{L}\p{N}_.]*(?:\["[^"]*"\])*)\s*(?:==|!=)\s*("?[^"\s]*)$/u.exec(before);
  if (value) return completeValue(value[1]!, value[2]!, caret, vocabulary);
  const word = /[\p{L}_][\p{L}\p{N}_.]*$/u.exec(before)?.[0] ?? "";
  const earlier = before.slice(0, before.length - word.length).trimEnd();
  const from = caret - word.length;
  if (/(?:==|!=|<=?|>=?|\bin|\bis)$/.test(earlier)) return { from, to: caret, suggestions: [] };
  if (earlier === "" || /(?:\band|\bor|\bnot|\(|,)$/.test(earlier)) {
    return { from, to: caret, suggestions: fieldsLike(word, vocabulary) };
  }
  const followsField = /[\p{L}_][\p{L}\p{N}_]*\.[\p{L}\p{N}_.]*(?:\["[^"]*"\])*$/u.test(earlier);
  const choices = followsField ? COMPARISONS : JOINTS;
  return { from, to: caret, suggestions: choices.filter(({ text }) => text.startsWith(word) && text !== word) };
}

/** Times that are often meant, in the integers that a condition needs. */
function moments(start: string): Suggestion[] {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = [
    ["today, 00:00", 0],
    ["yesterday, 00:00", 1],
    ["7 days ago", 7],
    ["30 days ago", 30],
  ] as const;
  const all = days.map(([detail, ago]) => ({ text: String(BigInt(midnight - ago * 86_400_000) * 1_000_000n), detail }));
  return all.filter(({ text }) => text.startsWith(start) && text !== start);
}

function completeValue(path: string, start: string, caret: number, vocabulary: Vocabulary): Completion {
  const plain = start.replace(/^"/, "").toLowerCase();
  const values = [...(vocabulary.values.get(path) ?? [])]
    .filter((value) => value.replace(/^"/, "").toLowerCase().startsWith(plain) && value !== start)
    .sort();
  const suggestions = values.slice(0, MOST).map((text) => ({ text, detail: "" }));
  return { from: caret - start.length, to: caret, suggestions };
}

/** Fields that begin with the word come first, then those that contain it. */
function fieldsLike(word: string, vocabulary: Vocabulary): Suggestion[] {
  const wanted = word.toLowerCase();
  const ranked: [number, Suggestion][] = [];
  for (const [text, detail] of vocabulary.fields) {
    const at = text.toLowerCase().indexOf(wanted);
    if (at < 0 || text === word) continue;
    const rank = at === 0 ? 0 : text[at - 1] === "." ? 1 : 2;
    ranked.push([vocabulary.asides.has(text) ? rank + 3 : rank, { text, detail }]);
  }
  ranked.sort(([a, x], [b, y]) => a - b || (x.text < y.text ? -1 : 1));
  return ranked.slice(0, MOST).map(([, suggestion]) => suggestion);
}

/** The text after a suggestion was accepted, and where the caret is then. */
export function accept(text: string, completion: Completion, suggestion: Suggestion): { text: string; caret: number } {
  const space = text[completion.to] === " " ? "" : " ";
  const head = `${text.slice(0, completion.from)}${suggestion.text}${space}`;
  return { text: head + text.slice(completion.to), caret: head.length + (space ? 0 : 1) };
}
