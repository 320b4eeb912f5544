import { describe, expect, test } from "vitest";
import { parseJson, printJson } from "../../src/api/json.ts";

describe("parseJson", () => {
  test("keeps all digits of long integers", () => {
    expect(parseJson('{"min_ns": 1700000000009995001, "rows": 2000}')).toEqual({
      min_ns: 1700000000009995001n,
      rows: 2000,
    });
    expect(parseJson("[-9223372036854775808, 9007199254740993]")).toEqual([-9223372036854775808n, 9007199254740993n]);
  });

  test("leaves floats, short integers and texts as they are", () => {
    const text = '{"a": 0.12345678901234567, "b": 1.5e300, "c": "id 1234567890123456789", "d": 9007199254740991}';
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  test("reads texts with quotes, and those that look like its own mark", () => {
    const value = { 'k"1234567890123456789': '\u00011234567890123456789"', n: 1234567890123456789n };
    expect(parseJson(printJson(value))).toEqual(value);
  });

  test("refuses what is no JSON", () => {
    expect(() => parseJson('{"a": 12345678901234567,}')).toThrow(SyntaxError);
  });
});

test("printJson writes bigint as an integer", () => {
  expect(printJson({ t: 1700000000009995001n })).toBe('{"t":1700000000009995001}');
});
