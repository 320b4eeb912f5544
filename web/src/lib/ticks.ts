/** Positions of axis labels. */

const TIME_STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1e3, n * 1e6]),
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map(
    (s) => s * 1e9,
  ),
].sort((a, b) => a - b);
const DAY = 86_400e9;

export interface Ticks {
  step: number;
  values: number[];
}

/** Round positions in [from, to], nanoseconds, at most `count` of them. */
export function timeTicks(from: number, to: number, count: number): Ticks {
  const least = (to - from) / Math.max(1, count);
  const step = TIME_STEPS.find((candidate) => candidate >= least) ?? Math.ceil(least / DAY) * DAY;
  return { step, values: multiples(from, to, step) };
}

/** Round values in [from, to], at most about `count` of them. */
export function valueTicks(from: number, to: number, count: number): Ticks {
  const least = (to - from) / Math.max(1, count);
  if (!(least > 0) || !Number.isFinite(least)) return { step: 1, values: [from] };
  const step = roundStep(least);
  return { step, values: multiples(from, to, step) };
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
export function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= least * 0.999)!;
}

/** A value of an axis, with the digits that its step needs. */
export function tickLabel(value: number, step: number): string {
  const size = Math.max(Math.abs(value), step);
  if (size >= 1e6 || step < 1e-5)
    return value === 0 ? "0" : value.toExponential(1).replace("-", "−").replace("e+", "e");
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  return value
    .toFixed(digits)
    .replace(/^-(?=0(\.0*)?$)/, "")
    .replace("-", "−");
}

function multiples(from: number, to: number, step: number): number[] {
  const values = [];
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  for (let index = first; index <= last && values.length < 1000; index += 1)
    values.push(index === 0 ? 0 : index * step);
  return values;
}
