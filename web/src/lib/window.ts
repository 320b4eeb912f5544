/** A window of time on the axis of a recording: [from, to), nanoseconds after its first message. */

export interface Window {
  from: number;
  to: number;
}

/** Nothing shorter can be seen: 100 ns. */
export const SHORTEST = 100;

export function lengthOf(window: Window): number {
  return window.to - window.from;
}

/** Zooms by `factor` (below 1: closer) and keeps the time at `anchor` in its place. */
export function zoom(window: Window, anchor: number, factor: number, extent: Window): Window {
  const length = Math.min(Math.max(lengthOf(window) * factor, SHORTEST), lengthOf(extent));
  const share = (anchor - window.from) / lengthOf(window);
  return inside({ from: anchor - share * length, to: anchor + (1 - share) * length }, extent);
}

export function pan(window: Window, by: number, extent: Window): Window {
  return inside({ from: window.from + by, to: window.to + by }, extent);
}

/** The window moved into `extent`, and cut to it. Whole nanoseconds. */
export function inside(window: Window, extent: Window): Window {
  const length = Math.min(lengthOf(window), lengthOf(extent));
  const from = Math.min(Math.max(window.from, extent.from), extent.to - length);
  return { from: Math.round(from), to: Math.round(from + length) };
}

export function contains(outer: Window, inner: Window): boolean {
  return outer.from <= inner.from && outer.to >= inner.to;
}

/** The window moved just so far that `time` is visible, with a margin of `margin` of its length. */
export function reveal(window: Window, time: number, extent: Window, margin = 0.1): Window {
  const length = lengthOf(window);
  if (time >= window.from && time <= window.to) return window;
  const from = time < window.from ? time - length * margin : time - length * (1 - margin);
  return inside({ from, to: from + length }, extent);
}
