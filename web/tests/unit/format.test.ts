import { expect, test } from "vitest";
import * as format from "../../src/lib/format.ts";
import { tickLabel, timeTicks, valueTicks } from "../../src/lib/ticks.ts";

test("sizes and counts", () => {
  expect([0, 1023, 1536, 5 * 2 ** 30, 123 * 2 ** 20].map(format.formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1.5 KiB",
    "5.0 GiB",
    "123 MiB",
  ]);
  expect([7, 9999, 23_140, 1_250_000].map(format.formatCount)).toEqual(["7", "9\u202f999", "23.1 k", "1.3 M"]);
  expect([format.plural(1, "topic"), format.plural(10_000, "topic")]).toEqual(["1 topic", "10\u202f000 topics"]);
  expect([200, 0.5, 29.97, 1000].map(format.formatRate)).toEqual(["200 Hz", "0.5 Hz", "30 Hz", "1 kHz"]);
});

test("durations", () => {
  const texts = [250, 2.5e6, 12.5e9, 243e9, 7500e9, 273_600e9].map(format.formatDuration);
  expect(texts).toEqual(["0.3 µs", "2.5 ms", "12.5 s", "4 min 03 s", "2 h 05 min", "3 d 04 h"]);
});

test("offsets have the digits of their step, and carry", () => {
  expect(format.formatOffset(61.25e9)).toBe("01:01.250");
  expect(format.formatOffset(59.9996e9, 1e6)).toBe("01:00.000");
  expect(format.formatOffset(3_600_000_000_000 + 5, 1)).toBe("1:00:00.000000005");
  expect(format.formatOffset(90e9, 30e9)).toBe("01:30");
  expect(format.formatOffset(-1.5e9, 1e8)).toBe("−00:01.5");
});

test("times keep their nanoseconds", () => {
  expect(format.isoTime(1796025600000000001n)).toBe("2026-11-30T08:00:00.000000001Z");
  expect(format.isoTime(-1n)).toBe("1969-12-31T23:59:59.999999999Z");
  expect(format.formatClock(1796025600123456789n, 9)).toMatch(/:00:00\.123456789$/);
});

test("numbers", () => {
  expect([0, -3, 9.80665, 1e-7, 2.5e12, Number.NaN].map(format.formatNumber)).toEqual([
    "0",
    "−3",
    "9.80665",
    "1.000e-7".replace("-", "−"),
    "2.500e+12",
    "NaN",
  ]);
});

test("ticks of time are round and few", () => {
  expect(timeTicks(0, 120e9, 8)).toEqual({
    step: 15e9,
    values: [0, 15, 30, 45, 60, 75, 90, 105, 120].map((s) => s * 1e9),
  });
  expect(timeTicks(1_000_000_100, 1_000_000_900, 5).step).toBe(200);
  expect(timeTicks(0, 400 * 86_400e9, 10).step).toBe(40 * 86_400e9);
});

test("ticks of values", () => {
  expect(valueTicks(-1.2, 1.2, 5).values.map((value) => tickLabel(value, 0.5))).toEqual([
    "−1.0",
    "−0.5",
    "0.0",
    "0.5",
    "1.0",
  ]);
  expect(valueTicks(5, 5, 5).values).toEqual([5]);
  expect(tickLabel(2_500_000, 500_000)).toBe("2.5e6");
});
