import { describe, expect, test } from "vitest";
import {
  accept,
  complete,
  emptyVocabulary,
  isCondition,
  learnDetail,
  learnSummaries,
  withTag,
} from "../../src/query/complete.ts";
import { parseCondition } from "../../src/query/parse.ts";
import { ConditionError } from "../../src/query/tokens.ts";
import { detailOf, SEQUENCES, summaryOf } from "../fake/store.ts";

describe("parseCondition", () => {
  test.each([
    ["imu.acceleration.x > 20", { ontology: { "imu.acceleration.x": { $gt: 20 } } }],
    ["20 < imu.acceleration.x", { ontology: { "imu.acceleration.x": { $gt: 20 } } }],
    [
      "imu.acceleration.x > 20 and imu.acceleration.y < -1.5e3",
      { ontology: { $and: [{ "imu.acceleration.x": { $gt: 20 } }, { "imu.acceleration.y": { $lt: -1500 } }] } },
    ],
    ['sequence.user_metadata.site == "north"', { sequence: { user_metadata: { site: { $eq: "north" } } } }],
    [`sequence.user_metadata["a.b"]["c"] != 'x'`, { sequence: { user_metadata: { "a.b.c": { $neq: "x" } } } }],
    ['"front" in topic.name', { topic: { name: { $match: "front" } } }],
    ['"x" not in topic.name', { topic: { $not: { name: { $match: "x" } } } }],
    ['sequence.name in ["a", "b",]', { sequence: { name: { $in: ["a", "b"] } } }],
    ["not gps.status.satellites >= 4", { ontology: { $not: { "gps.status.satellites": { $geq: 4 } } } }],
    ["gps.velocity is not None", { ontology: { "gps.velocity": { $ex: null } } }],
    ["gps.velocity == null", { ontology: { "gps.velocity": { $nex: null } } }],
    [
      "44 < gps.position.x < 46",
      { ontology: { $and: [{ "gps.position.x": { $gt: 44 } }, { "gps.position.x": { $lt: 46 } }] } },
    ],
    ['sequence.name == "a" and imu.x > 1', { sequence: { name: { $eq: "a" } }, ontology: { "imu.x": { $gt: 1 } } }],
    [
      'sequence.name == "a" or (imu.x > 1 and imu.y > 2)',
      {
        $or: [
          { sequence: { name: { $eq: "a" } } },
          { ontology: { $and: [{ "imu.x": { $gt: 1 } }, { "imu.y": { $gt: 2 } }] } },
        ],
      },
    ],
    [
      "sequence.created_timestamp > 1700000000009995001",
      { sequence: { created_timestamp: { $gt: 1700000000009995001n } } },
    ],
    ["armed.data == true", { ontology: { "armed.data": { $eq: true } } }],
  ])("%s", (text, query) => {
    expect(parseCondition(text)).toEqual(query);
  });

  test.each([
    ["imu.acceleration.x", "a comparison is missing", 18],
    ["imu > 2", "imu is not a field", 0],
    ["imu.x > ", "a field or a value is missing", 8],
    ["imu.x > north", "put text in quotes", 8],
    ['imu.x == "north', "no closing quote", 9],
    ["imu.x > 1 imu.y > 2", "combine conditions", 10],
    ["(imu.x > 1", ") is missing", 10],
    ["sequence.site == 1", "sequence has no site", 0],
    ["1 < 2", "needs a field", 0],
    ["imu.x == [1]", "write `in`", 9],
    ["imu.x > None", "by == or !=", 8],
    ["imu.x > 1 & imu.y > 1", "unexpected &", 10],
    [`${"(".repeat(200)}a.b > 1`, "nested too deeply", 100],
  ])("refuses %s", (text, message, at) => {
    const error = errorOf(text);
    expect(error.message).toContain(message);
    expect(error.at).toBe(at);
  });
});

test("a search is a condition if it compares", () => {
  for (const text of ["imu.x > 1", "sequence.na", '"a" in topic.name', "not a.b"]) expect(isCondition(text)).toBe(true);
  for (const text of ["flight", "run 42", "north/run-1", '"a > b"', "main island"])
    expect(isCondition(text)).toBe(false);
});

describe("complete", () => {
  const vocabulary = emptyVocabulary();
  learnSummaries(vocabulary, SEQUENCES.slice(0, 50).map(summaryOf));
  learnDetail(vocabulary, detailOf(SEQUENCES[1]!));
  const texts = (text: string) =>
    complete(text, text.length, vocabulary).suggestions.map((suggestion) => suggestion.text);

  test("fields, those that begin with the word first", () => {
    expect(texts("imu.acc")).toEqual(["imu.acceleration.x", "imu.acceleration.y", "imu.acceleration.z"]);
    expect(texts("imu.x > 1 and site")).toEqual(["sequence.user_metadata.site"]);
    expect(texts("volt")).toEqual(["battery_state.voltage"]);
    expect(texts("imu.").slice(-3)).toEqual(["imu.header.frame_id", "imu.recording_timestamp_ns", "imu.timestamp_ns"]);
    expect(texts("imu.")[0]).toBe("imu.acceleration.x");
  });

  test("operators after a field, joints after a comparison", () => {
    expect(texts("imu.acceleration.x ")).toContain(">=");
    expect(texts("imu.acceleration.x > 2 ")).toEqual(["and", "or"]);
  });

  test("values of metadata", () => {
    expect(texts('sequence.user_metadata.site == "tu')).toEqual(['"turin"']);
    expect(texts("topic.ontology_tag == ")).toContain('"gps"');
  });

  test("times of the creation are completed from days", () => {
    const [today] = complete("sequence.created_timestamp > ", 29, vocabulary).suggestions;
    expect(today!.detail).toBe("today, 00:00");
    expect(BigInt(today!.text)).toBe(BigInt(new Date().setHours(0, 0, 0, 0)) * 1_000_000n);
  });

  test("a suggestion replaces the word and leaves one space", () => {
    const completion = complete("imu.acc > 2", 7, vocabulary);
    expect(accept("imu.acc > 2", completion, completion.suggestions[0]!)).toEqual({
      text: "imu.acceleration.x > 2",
      caret: 19,
    });
  });
});

function errorOf(text: string): ConditionError {
  try {
    parseCondition(text);
  } catch (error) {
    if (error instanceof ConditionError) return error;
    throw error;
  }
  throw new Error(`${text} is accepted`);
}

test("a tag narrows the search", () => {
  const site = 'sequence.user_metadata.site == "turin"';
  expect(withTag("", "site", "turin")).toBe(site);
  expect(withTag(site, "site", "turin")).toBe(site);
  expect(withTag(site, "lap count", 3)).toBe(`${site} and sequence.user_metadata["lap count"] == 3`);
  expect(withTag("night", "dark", true)).toBe('"night" in sequence.name and sequence.user_metadata.dark == true');
  expect(withTag("imu.x > 1 or gps.y > 2", "a", null)).toBe(
    "(imu.x > 1 or gps.y > 2) and sequence.user_metadata.a == null",
  );
  expect(parseCondition(withTag("night", "dark", true))).toEqual({
    sequence: { $and: [{ name: { $match: "night" } }, { user_metadata: { dark: { $eq: true } } }] },
  });
});
