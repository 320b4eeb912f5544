/** Generated sequences, as a daemon would have them. */

import type { SequenceDetail, SequenceState, SequenceSummary } from "../../src/api/types.ts";
import { type FakeTopic, noise, TIMES, TOPICS } from "./topics.ts";

export interface FakeSequence {
  name: string;
  state: SequenceState;
  created: bigint;
  start: bigint;
  seconds: number;
  metadata: { [key: string]: string | number | boolean };
}

/** The first message of `flight-042`. */
export const START = 1_796_025_600_000_000_000n;
const LIVE_START = Date.now();
const ROBOTS = ["ariel", "borealis", "corvus", "dorado"];
const SITES = ["north", "turin", "harbour", "test-hall"];

/** Ends of recordings in progress move with the clock. */
export function secondsOf(sequence: FakeSequence): number {
  return sequence.state === "recording" ? sequence.seconds + (Date.now() - LIVE_START) / 1000 : sequence.seconds;
}

const FLIGHT: FakeSequence = {
  name: "flight-042",
  state: "finalized",
  created: START + 130_000_000_000n,
  start: START,
  seconds: 120,
  metadata: { site: "turin", robot: "ariel", pilot: "M. Rossi", laps: 3 },
};

const LIVE: FakeSequence = {
  name: "live/survey-7",
  state: "recording",
  created: BigInt(LIVE_START) * 1_000_000n,
  start: BigInt(LIVE_START - 20_000) * 1_000_000n,
  seconds: 20,
  metadata: { site: "harbour", robot: "dorado" },
};

function older(index: number): FakeSequence {
  const robot = ROBOTS[Math.floor(noise(index, 1) * 4)]!;
  const start = START - BigInt(index + 1) * 1_371_000_000_000n;
  return {
    name: `${robot}/run-${String(9999 - index).padStart(4, "0")}`,
    state: noise(index, 2) < 0.03 ? "interrupted" : "finalized",
    created: start + 2_000_000_000n,
    start,
    seconds: 20 + Math.floor(noise(index, 3) ** 3 * 1180),
    metadata: { site: SITES[Math.floor(noise(index, 4) * 4)]!, robot, laps: Math.floor(noise(index, 5) * 9) },
  };
}

const count = Number(process.env["FAKE_SEQUENCES"] ?? 9998);
export const SEQUENCES: FakeSequence[] = [LIVE, FLIGHT, ...Array.from({ length: count }, (_, i) => older(i))];

export function sequenceNamed(name: string): FakeSequence | undefined {
  return SEQUENCES.find((sequence) => sequence.name === name);
}

/** Whether a topic has a row `seconds` after the start. */
export function exists(topic: FakeTopic, seconds: number): boolean {
  return !topic.gaps.some(([from, to]) => seconds >= from && seconds < to);
}

export function rowsOf(topic: FakeTopic, seconds: number): number {
  let rows = Math.floor(seconds * topic.hz);
  for (const [from, to] of topic.gaps) rows -= Math.max(0, Math.min(to, seconds) - from) * topic.hz;
  return Math.round(rows);
}

export function timeOf(sequence: FakeSequence, topic: FakeTopic, index: number): bigint {
  return sequence.start + BigInt(Math.round((index * 1e9) / topic.hz));
}

function lastOf(sequence: FakeSequence, topic: FakeTopic): bigint {
  return timeOf(sequence, topic, Math.max(0, Math.floor(secondsOf(sequence) * topic.hz) - 1));
}

export function topicsOf(sequence: FakeSequence): FakeTopic[] {
  return sequence === FLIGHT || sequence === LIVE ? TOPICS : TOPICS.slice(0, 3 + (sequence.seconds % 6));
}

const summaries = new WeakMap<FakeSequence, SequenceSummary>();

/** Computed once, except for recordings in progress: each page of the list sorts all of them. */
export function summaryOf(sequence: FakeSequence): SequenceSummary {
  const known = summaries.get(sequence);
  if (known) return known;
  const summary = summarize(sequence);
  if (sequence.state !== "recording") summaries.set(sequence, summary);
  return summary;
}

function summarize(sequence: FakeSequence): SequenceSummary {
  const topics = topicsOf(sequence);
  const seconds = secondsOf(sequence);
  return {
    name: sequence.name,
    state: sequence.state,
    created_ns: sequence.created,
    time_range: { min_ns: sequence.start, max_ns: lastOf(sequence, topics[0]!) },
    topics: topics.length,
    rows: topics.reduce((sum, topic) => sum + rowsOf(topic, seconds), 0),
    bytes: topics.reduce((sum, topic) => sum + rowsOf(topic, seconds) * topic.bytesPerRow, 0),
    user_metadata: sequence.metadata,
  };
}

export function detailOf(sequence: FakeSequence): SequenceDetail {
  const seconds = secondsOf(sequence);
  const base = `/api/v1/sequences/${encodeURIComponent(sequence.name)}/topics/`;
  return {
    ...summaryOf(sequence),
    is_finalized: sequence.state === "finalized",
    topics: topicsOf(sequence).map((topic) => ({
      name: topic.name,
      ontology_tag: topic.tag,
      user_metadata: {},
      rows: rowsOf(topic, seconds),
      bytes: rowsOf(topic, seconds) * topic.bytesPerRow,
      time_range: { min_ns: sequence.start, max_ns: lastOf(sequence, topic) },
      rate_hz: topic.hz,
      data: `${base}${encodeURIComponent(topic.name)}/data`,
      fields: [...TIMES, ...topic.fields],
    })),
  };
}
