import { expect, test } from "vitest";
import { EventParser } from "../../src/api/events.ts";

test("events arrive in any pieces", () => {
  const text =
    ': connected\n\nid: 7\nevent: sequence_created\ndata: {"sequence_name": "a",\ndata: "time_ns": 1700000000009995001}\n\nid: 8\r\ndata: {}\r\n\r\n';
  const parser = new EventParser();
  const events = [...text].flatMap((character) => parser.push(character));
  expect(events).toEqual([
    { id: "7", kind: "sequence_created", data: { sequence_name: "a", time_ns: 1700000000009995001n } },
    { id: "8", kind: "message", data: {} },
  ]);
});

test("an event without its end waits", () => {
  const parser = new EventParser();
  expect(parser.push("id: 1\ndata: {}\n")).toEqual([]);
  expect(parser.push("\n")).toHaveLength(1);
});
