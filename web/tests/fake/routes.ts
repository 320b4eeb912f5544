/** Answers of the API, as docs/http.md describes them, from generated data. */

import {
  binary,
  columnFromArray,
  float32,
  float64,
  int64,
  list,
  tableFromArrays,
  tableFromColumns,
  tableToIPC,
  uint32,
  uint64,
} from "@uwdata/flechette";
import { printJson } from "../../src/api/json.ts";
import type { SequenceSummary } from "../../src/api/types.ts";
import { png } from "./png.ts";
import {
  detailOf,
  exists,
  type FakeSequence,
  SEQUENCES,
  secondsOf,
  sequenceNamed,
  summaryOf,
  timeOf,
  topicsOf,
} from "./store.ts";
import type { FakeTopic, Row } from "./topics.ts";

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | Uint8Array;
}

const ARROW = "application/vnd.apache.arrow.stream";

/** What each route accepts; anything else is an error, as in the daemon. */
const PARAMETERS: Record<string, string[]> = {
  info: [],
  sequences: ["search", "where", "sort", "order", "limit", "cursor"],
  density: ["from", "to", "px"],
  series: ["fields", "from", "to", "px"],
  messages: ["from", "to", "at", "limit", "columns"],
  frame: ["at", "width"],
};

/** The answer to a GET of a path below `/api/v1/`. */
export function answer(path: string, query: URLSearchParams, accept: string): Answer {
  const parts = path.split("/").map(decodeURIComponent);
  const route = parts.length === 2 ? "info" : (parts[4] ?? parts[2] ?? parts[0]!);
  const unknown = [...query.keys()].find((name) => !PARAMETERS[route]?.includes(name));
  if (unknown) return failure(400, "malformed", `${route} has no parameter ${unknown}`);
  if (query.has("at") && query.has("limit")) return failure(400, "malformed", "`limit` and `at` exclude each other");
  if (parts[0] === "info")
    return json({ version: "0.0.0", store: "generated", read: true, write: true, now_ns: now() });
  if (parts[0] !== "sequences") return failure(404, "not_found", `there is no route ${path}`);
  if (parts.length === 1) return json(page(query));
  const sequence = sequenceNamed(parts[1]!);
  if (!sequence) {
    const message = `sequence \`${parts[1]}\` does not exist; list the sequences to see what does`;
    return failure(404, "sequence_not_found", message);
  }
  if (parts.length === 2) return json(detailOf(sequence));
  if (parts[2] === "density") return json(density(sequence, query));
  const topic = topicsOf(sequence).find((candidate) => candidate.name === parts[3]);
  if (!topic) return failure(404, "topic_not_found", `topic \`${parts[3]}\` does not exist`);
  if (parts[4] === "series") return series(sequence, topic, query);
  if (parts[4] === "messages") return messages(sequence, topic, query, accept);
  if (parts[4] === "frame") return frame(sequence, topic, query);
  return failure(404, "not_found", `there is no route ${path}`);
}

function json(value: unknown): Answer {
  return { status: 200, headers: { "content-type": "application/json" }, body: printJson(value) };
}

function failure(status: number, code: string, message: string): Answer {
  return { ...json({ error: { code, message } }), status };
}

function arrow(bytes: Uint8Array): Answer {
  return { status: 200, headers: { "content-type": ARROW }, body: bytes };
}

function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

type Key = (summary: SequenceSummary) => bigint | number | string;
const KEYS: Record<string, Key> = {
  name: (s) => s.name,
  created: (s) => BigInt(s.created_ns),
  start: (s) => BigInt(s.time_range!.min_ns),
  duration: (s) => BigInt(s.time_range!.max_ns) - BigInt(s.time_range!.min_ns),
  bytes: (s) => s.bytes ?? 0,
};

function page(query: URLSearchParams) {
  const search = (query.get("search") ?? "").toLowerCase();
  const where = query.get("where");
  const key = KEYS[query.get("sort") ?? "name"]!;
  const found = SEQUENCES.filter((sequence) => sequence.name.toLowerCase().includes(search))
    .filter((sequence) => where === null || matches(sequence, JSON.parse(where)))
    .map(summaryOf)
    .sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
  if (query.get("order") === "desc") found.reverse();
  const start = Number(query.get("cursor") ?? 0);
  const end = start + Number(query.get("limit") ?? 100);
  return {
    sequences: found.slice(start, end),
    next_cursor: end < found.length ? String(end) : null,
    total: found.length,
  };
}

/** Only equality of metadata of the sequence: the tests of the page use no more. */
function matches(sequence: FakeSequence, where: { sequence?: { user_metadata?: Record<string, { $eq: unknown }> } }) {
  const conditions = Object.entries(where.sequence?.user_metadata ?? {});
  return conditions.every(([key, test]) => sequence.metadata[key] === test.$eq);
}

interface Span {
  from: bigint;
  to: bigint;
  px: number;
}

function spanOf(sequence: FakeSequence, query: URLSearchParams): Span {
  const end = sequence.start + BigInt(Math.round(secondsOf(sequence) * 1e9)) + 1n;
  return {
    from: BigInt(query.get("from") ?? sequence.start),
    to: BigInt(query.get("to") ?? end),
    px: Number(query.get("px") ?? 100),
  };
}

/** Numbers of the rows of a topic in [from, to). */
function* rows(sequence: FakeSequence, topic: FakeTopic, from: bigint, to: bigint): Generator<number> {
  const rowAt = (time: bigint) => Math.ceil(((Number(time - sequence.start) - 0.5) * topic.hz) / 1e9);
  const end = Math.min(Math.floor(secondsOf(sequence) * topic.hz), rowAt(to));
  for (let index = Math.max(0, rowAt(from)); index < end; index += 1) {
    if (index / topic.hz >= (topic.from ?? 0) && exists(topic, index / topic.hz)) yield index;
  }
}

function pixelOf(time: bigint, span: Span): number {
  return Number(((time - span.from) * BigInt(span.px)) / (span.to - span.from));
}

function density(sequence: FakeSequence, query: URLSearchParams) {
  const span = spanOf(sequence, query);
  const length = Number(span.to - span.from);
  const topics: Record<string, number[]> = {};
  for (const topic of topicsOf(sequence)) {
    const counts = new Array<number>(span.px).fill(0);
    for (const index of rows(sequence, topic, span.from, span.to)) {
      const offset = (index * 1e9) / topic.hz - Number(span.from - sequence.start);
      const pixel = Math.min(span.px - 1, Math.max(0, Math.floor((offset / length) * span.px)));
      counts[pixel] = counts[pixel]! + 1;
    }
    topics[topic.name] = counts;
  }
  return { from_ns: span.from, to_ns: span.to, px: span.px, topics };
}

function valueAt(row: Row, path: string): number {
  let value: unknown = row;
  for (const name of path.split(".")) value = (value as Row | undefined)?.[name];
  return typeof value === "boolean" ? Number(value) : typeof value === "number" ? value : Number.NaN;
}

function series(sequence: FakeSequence, topic: FakeTopic, query: URLSearchParams): Answer {
  const span = spanOf(sequence, query);
  const fields = query.get("fields")!.split(",");
  const found = [...rows(sequence, topic, span.from, span.to)];
  const columns = new Map<number, { times: bigint[]; rows: Row[] }>();
  for (const [position, index] of found.entries()) {
    const time = timeOf(sequence, topic, index);
    const pixel = found.length <= span.px ? position : pixelOf(time, span);
    const column = columns.get(pixel) ?? { times: [], rows: [] };
    column.times.push(time);
    column.rows.push(topic.row(index / topic.hz, index));
    columns.set(pixel, column);
  }
  const list = [...columns];
  const table: [string, ReturnType<typeof columnFromArray>][] = [
    [
      "pixel",
      columnFromArray(
        list.map(([pixel]) => pixel),
        uint32(),
      ),
    ],
    [
      "first_ns",
      columnFromArray(
        list.map(([, c]) => c.times[0]!),
        int64(),
      ),
    ],
    [
      "last_ns",
      columnFromArray(
        list.map(([, c]) => c.times.at(-1)!),
        int64(),
      ),
    ],
    [
      "count",
      columnFromArray(
        list.map(([, c]) => BigInt(c.times.length)),
        uint64(),
      ),
    ],
  ];
  for (const field of fields) {
    const values = list.map(([, column]) => column.rows.map((row) => valueAt(row, field)));
    const add = (name: string, of: (values: number[]) => number) =>
      table.push([`${field}.${name}`, columnFromArray(values.map(of), float64())]);
    add("min", (v) => Math.min(...v));
    add("max", (v) => Math.max(...v));
    add("first", (v) => v[0]!);
    add("last", (v) => v.at(-1)!);
  }
  return arrow(tableToIPC(tableFromColumns(table), { format: "stream" })!);
}

function messages(sequence: FakeSequence, topic: FakeTopic, query: URLSearchParams, accept: string): Answer {
  const at = query.get("at");
  const limit = Math.min(1000, Number(query.get("limit") ?? 100));
  const span = spanOf(sequence, query);
  let found: number[] = [];
  if (at !== null) {
    for (const index of rows(sequence, topic, BigInt(at) - 10_000_000_000n, BigInt(at) + 1n)) found = [index];
  } else {
    for (const index of rows(sequence, topic, span.from, span.to)) {
      found.push(index);
      if (found.length > limit) break;
    }
  }
  const shown = found.slice(0, limit);
  const data = shown.map((index) => topic.row(index / topic.hz, index));
  const times = shown.map((index) => timeOf(sequence, topic, index));
  if (accept.includes(ARROW)) return arrow(table(times, data, query.get("columns")?.split(",")));
  const next = found.length > limit ? timeOf(sequence, topic, found[limit]!) : null;
  return json({ messages: times.map((time, i) => ({ timestamp_ns: time, data: shortened(data[i]!) })), next_ns: next });
}

/** Binary values are shown by their size. */
function shortened(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? { bytes: value.length } : value]),
  );
}

function table(times: bigint[], data: Row[], columns: string[] | undefined): Uint8Array {
  const types: Record<string, ReturnType<typeof int64> | ReturnType<typeof list> | ReturnType<typeof binary>> = {
    timestamp_ns: int64(),
  };
  const arrays: Record<string, unknown[]> = { timestamp_ns: times };
  for (const [name, value] of Object.entries(data[0] ?? {})) {
    if (columns && !columns.includes(name)) continue;
    types[name] = value instanceof Uint8Array ? binary() : list(float32());
    arrays[name] = data.map((row) => row[name]);
  }
  return tableToIPC(tableFromArrays(arrays, { types }), { format: "stream" })!;
}

function frame(sequence: FakeSequence, topic: FakeTopic, query: URLSearchParams): Answer {
  const seconds = Number(BigInt(query.get("at")!) - sequence.start) / 1e9;
  const index = Math.max(
    0,
    Math.min(Math.floor(secondsOf(sequence) * topic.hz) - 1, Math.floor(seconds * topic.hz + 1e-6)),
  );
  const s = index / topic.hz;
  if (seconds < (topic.from ?? 0))
    return failure(404, "not_found", `topic \`${topic.name}\` has no picture at ${query.get("at")} or before`);
  const packet = topic.row(s, index)["data"];
  const video = packet instanceof Uint8Array;
  const body = video ? packet : png(320, 180, (x, y) => landscape(x, y, s));
  const headers = {
    "content-type": video ? "video/h264" : "image/png",
    "x-timestamp-ns": String(timeOf(sequence, topic, index)),
    "x-next-ns": String(timeOf(sequence, topic, index + 1)),
  };
  return { status: 200, headers, body };
}

/** Hills that pass by: each frame differs from the one before. */
function landscape(x: number, y: number, s: number): [number, number, number] {
  const far = 78 + 14 * Math.sin(x / 37 + s / 3) + 6 * Math.sin(x / 11 + s / 2);
  const near = 118 + 12 * Math.sin(x / 53 + s * 0.9) + 5 * Math.sin(x / 9 + s * 1.7);
  if (y > near) return [34 + y / 6, 78 - (y - near) / 4, 52];
  if (y > far) return [60, 96 + (y - far) / 3, 104];
  const sun = Math.hypot(x - 232 + s / 2, y - 46) < 15;
  return sun ? [255, 214, 140] : [96 + y * 1.2, 132 + y * 0.7, 196 - y * 0.3];
}
