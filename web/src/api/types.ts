/** What the daemon answers, see docs/http.md. Times are nanoseconds since the epoch. */

export type Ns = bigint;
/** An integer as `parseJson` returns it: `bigint` if a number cannot represent it. */
export type JsonInt = number | bigint;
export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };

export interface TimeRange {
  min_ns: JsonInt;
  max_ns: JsonInt;
}

export type SequenceState = "recording" | "interrupted" | "finalized";

export interface Info {
  version: string;
  /** Null for callers who may not read everything. */
  store: string | null;
  read: boolean;
  write: boolean;
  now_ns: JsonInt;
}

export interface SequenceSummary {
  name: string;
  state: SequenceState;
  created_ns: JsonInt;
  time_range: TimeRange | null;
  topics: number;
  rows: number | null;
  bytes: number | null;
  user_metadata: { [key: string]: Json };
}

export interface SequencePage {
  sequences: SequenceSummary[];
  next_cursor: string | null;
  total: number;
}

export type FieldKind = "number" | "bool" | "text" | "binary" | "time" | "other";

export interface Field {
  /** Dotted path; lists end with `[]`. */
  path: string;
  type: string;
  kind: FieldKind;
}

export interface TopicDetail {
  name: string;
  ontology_tag: string;
  user_metadata: { [key: string]: Json };
  rows: number | null;
  bytes: number | null;
  time_range: TimeRange | null;
  rate_hz: number | null;
  data: string;
  fields: Field[];
}

export interface SequenceDetail {
  name: string;
  state: SequenceState;
  is_finalized: boolean;
  created_ns: JsonInt;
  time_range: TimeRange | null;
  rows: number | null;
  bytes: number | null;
  user_metadata: { [key: string]: Json };
  topics: TopicDetail[];
}

export interface Density {
  from_ns: JsonInt;
  to_ns: JsonInt;
  px: number;
  topics: { [topic: string]: number[] };
}

export interface MessageJson {
  timestamp_ns: JsonInt;
  data: { [key: string]: Json };
}

export interface MessagePage {
  messages: MessageJson[];
  next_ns: JsonInt | null;
}

export interface ServerEvent {
  id: string;
  kind: string;
  data: { [key: string]: Json };
}

export function ns(value: JsonInt): Ns {
  return BigInt(value);
}
