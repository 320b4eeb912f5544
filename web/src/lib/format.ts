/** Times, durations, sizes and numbers as text. */

import type { Ns } from "../api/types.ts";

export const SECOND = 1e9;
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function formatBytes(bytes: number | null): string {
  if (bytes === null) return "–";
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${SIZES[unit]}`;
}

export function formatCount(count: number | null): string {
  if (count === null) return "–";
  if (count < 10_000) return count.toLocaleString("en").replaceAll(",", "\u202f");
  if (count < 1e6) return `${(count / 1e3).toFixed(count < 1e5 ? 1 : 0)} k`;
  if (count < 1e9) return `${(count / 1e6).toFixed(count < 1e8 ? 1 : 0)} M`;
  return `${(count / 1e9).toFixed(1)} G`;
}

/** `1 topic`, `10 000 sequences`. */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en").replaceAll(",", "\u202f")} ${noun}${count === 1 ? "" : "s"}`;
}

export function formatRate(hz: number | null): string {
  if (hz === null) return "–";
  if (hz >= 1000) return `${trim((hz / 1000).toFixed(2))} kHz`;
  if (hz >= 1) return `${trim(hz.toFixed(hz >= 100 ? 0 : 1))} Hz`;
  return `${trim(hz.toPrecision(2))} Hz`;
}

/** A duration in words: `12.5 s`, `4 min 03 s`, `2 h 05 min`, `3 d 04 h`. */
export function formatDuration(nanoseconds: number): string {
  const seconds = nanoseconds / SECOND;
  if (seconds < 1e-3) return `${trim((seconds * 1e6).toFixed(1))} µs`;
  if (seconds < 1) return `${trim((seconds * 1e3).toFixed(1))} ms`;
  if (seconds < 60) return `${trim(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${pad(Math.floor(whole / 60) % 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${pad(Math.floor(whole / 3600) % 24)} h`;
}

/** A position in a recording: `03:07.250`, with as many digits as `step` (nanoseconds) needs. */
export function formatOffset(offset: number, step = 1e6): string {
  const sign = offset < 0 ? "−" : "";
  const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step / SECOND) - 1e-9)));
  const unit = 10 ** (9 - digits);
  const rounded = Math.round(Math.abs(offset) / unit) * unit;
  const seconds = Math.floor(rounded / SECOND);
  const fraction =
    digits > 0
      ? `.${String(Math.round(rounded % SECOND))
          .padStart(9, "0")
          .slice(0, digits)}`
      : "";
  const hours = Math.floor(seconds / 3600);
  const clock = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}${fraction}`;
  return hours > 0 ? `${sign}${hours}:${clock}` : `${sign}${clock}`;
}

/** Local date and time; with fraction digits if `digits` is not 0. */
export function formatTime(time: Ns, digits = 0): string {
  const date = dateOf(time);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return `${day} ${clock}${fractionOf(time, digits)}`;
}

/** Local time of the day. */
export function formatClock(time: Ns, digits = 3): string {
  const date = dateOf(time);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}${fractionOf(time, digits)}`;
}

/** A time relative to now: `3 min ago`. */
export function formatAgo(time: Ns, now: Ns): string {
  const seconds = Number((now - time) / 1_000_000_000n);
  if (seconds < 0) return formatTime(time).slice(0, 16);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 86_400 * 30) return `${Math.floor(seconds / 86_400)} d ago`;
  return formatTime(time).slice(0, 10);
}

/** A number with up to 6 significant digits; integers completely. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value).replace("-", "−");
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-4 || size >= 1e9) ? value.toExponential(3) : trim(value.toPrecision(6));
  return text.replace("-", "−");
}

/** ISO text in UTC with nanoseconds, as the Python package and the command line accept it. */
export function isoTime(time: Ns): string {
  const { seconds, rest } = split(time);
  const fraction = rest === 0n ? "" : `.${String(rest).padStart(9, "0").replace(/0+$/, "")}`;
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction}Z`;
}

function dateOf(time: Ns): Date {
  return new Date(split(time).seconds * 1000);
}

function fractionOf(time: Ns, digits: number): string {
  return digits === 0 ? "" : `.${String(split(time).rest).padStart(9, "0").slice(0, digits)}`;
}

function split(time: Ns): { seconds: number; rest: bigint } {
  const rest = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((time - rest) / 1_000_000_000n), rest };
}

function trim(text: string): string {
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
