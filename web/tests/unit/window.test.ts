import { expect, test } from "vitest";
import { inside, pan, reveal, zoom } from "../../src/lib/window.ts";

const ALL = { from: 0, to: 1000 };

test("zoom keeps the anchor in its place", () => {
  expect(zoom(ALL, 250, 0.5, ALL)).toEqual({ from: 125, to: 625 });
  expect(zoom({ from: 400, to: 600 }, 500, 0.0001, ALL)).toEqual({ from: 450, to: 550 }); // 100 ns are the shortest
});

test("nothing leaves the recording", () => {
  expect(zoom({ from: 0, to: 500 }, 10, 4, ALL)).toEqual(ALL);
  expect(pan({ from: 100, to: 300 }, -500, ALL)).toEqual({ from: 0, to: 200 });
  expect(pan({ from: 100, to: 300 }, 5000, ALL)).toEqual({ from: 800, to: 1000 });
  expect(inside({ from: -50, to: 5000 }, ALL)).toEqual(ALL);
});

test("reveal moves only if it must", () => {
  const window = { from: 400, to: 600 };
  expect(reveal(window, 500, ALL)).toBe(window);
  expect(reveal(window, 700, ALL)).toEqual({ from: 520, to: 720 });
  expect(reveal(window, 100, ALL)).toEqual({ from: 80, to: 280 });
});
