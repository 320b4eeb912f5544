/** Draws series: lines through min and max of each pixel column, axes, a grid. No state. */

import { columnAt, type FieldColumns, type SeriesColumns } from "../api/series.ts";
import { formatOffset } from "../lib/format.ts";
import { tickLabel, timeTicks, valueTicks } from "../lib/ticks.ts";
import { lengthOf, type Window } from "../lib/window.ts";
import { labelFont } from "../ui/canvas.tsx";
import { color } from "../ui/theme.ts";

export const LEFT = 54;
export const BOTTOM = 20;
const TOP = 8;

export interface Range {
  low: number;
  high: number;
}

export interface Curve {
  columns: SeriesColumns;
  field: FieldColumns;
  color: string;
  /** A longer pause between rows is a gap, ns. */
  gap: number;
}

/** The lowest and highest value of the curves in the window, with a margin; null without values. */
export function rangeOf(curves: Curve[], window: Window): Range | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { columns, field } of curves) {
    const first = Math.max(0, columnAt(columns.last, window.from));
    const last = columnAt(columns.first, window.to);
    for (let index = first; index <= last; index += 1) {
      if (field.min[index]! < low) low = field.min[index]!;
      if (field.max[index]! > high) high = field.max[index]!;
    }
  }
  if (low > high) return null;
  const margin = high === low ? Math.abs(high) * 0.1 || 1 : (high - low) * 0.06;
  return { low: low - margin, high: high + margin };
}

/** Pauses that are gaps: several times longer than usual. */
export function gapOf(rateHz: number | null, columns: SeriesColumns): number {
  const usual = rateHz ? 1e9 / rateHz : 0;
  const count = columns.first.length;
  const perColumn = count > 1 ? (columns.last[count - 1]! - columns.first[0]!) / count : 0;
  return Math.max(usual * 4, perColumn * 2.5);
}

export function drawPlot(
  context: CanvasRenderingContext2D,
  size: { width: number; height: number },
  window: Window,
  range: Range | null,
  curves: Curve[],
): void {
  const width = size.width - LEFT;
  const height = size.height - BOTTOM - TOP;
  const x = (time: number) => LEFT + ((time - window.from) / lengthOf(window)) * width;
  drawTimeAxis(context, size, window, x, width);
  if (!range) return;
  const y = (value: number) => TOP + (1 - (value - range.low) / (range.high - range.low)) * height;
  drawValueAxis(context, size, range, y, height);
  context.save();
  context.beginPath();
  context.rect(LEFT, 0, width, size.height - BOTTOM);
  context.clip();
  for (const curve of curves) drawCurve(context, curve, window, x, y, width);
  context.restore();
}

function drawTimeAxis(
  context: CanvasRenderingContext2D,
  size: { width: number; height: number },
  window: Window,
  x: (time: number) => number,
  width: number,
): void {
  const ticks = timeTicks(window.from, window.to, width / 72);
  context.font = labelFont();
  context.textBaseline = "alphabetic";
  context.textAlign = "center";
  for (const value of ticks.values) {
    const at = Math.round(x(value));
    context.fillStyle = color("line");
    context.fillRect(at, TOP, 1, size.height - BOTTOM - TOP);
    if (at < LEFT + 14 || at > size.width - 24) continue;
    context.fillStyle = color("faint");
    context.fillText(formatOffset(value, ticks.step), at, size.height - 6);
  }
}

function drawValueAxis(
  context: CanvasRenderingContext2D,
  size: { width: number; height: number },
  range: Range,
  y: (value: number) => number,
  height: number,
): void {
  const ticks = valueTicks(range.low, range.high, Math.max(2, height / 28));
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of ticks.values) {
    const at = Math.round(y(value));
    const zero = Math.abs(value) < ticks.step / 1e6;
    context.fillStyle = color(zero ? "line-strong" : "line");
    context.fillRect(LEFT, at, size.width - LEFT, 1);
    context.fillStyle = color("faint");
    context.fillText(tickLabel(value, ticks.step), LEFT - 7, at);
  }
}

function drawCurve(
  context: CanvasRenderingContext2D,
  { columns, field, color: stroke, gap }: Curve,
  window: Window,
  x: (time: number) => number,
  y: (value: number) => number,
  width: number,
): void {
  const { first, last, count } = columns;
  const begin = Math.max(0, columnAt(last, window.from) - 1);
  const end = Math.min(first.length - 1, columnAt(first, window.to) + 1);
  context.beginPath();
  let connected = false;
  for (let index = begin; index <= end; index += 1) {
    if (Number.isNaN(field.min[index]!)) {
      connected = false;
      continue;
    }
    const paused = index > begin && first[index]! - last[index - 1]! > gap;
    const start = x(first[index]!);
    if (connected && !paused) context.lineTo(start, y(field.first[index]!));
    else context.moveTo(start, y(field.first[index]!));
    if (count[index]! > 1) {
      const middle = (start + x(last[index]!)) / 2;
      context.lineTo(middle, y(field.min[index]!));
      context.lineTo(middle, y(field.max[index]!));
      context.lineTo(x(last[index]!), y(field.last[index]!));
    }
    connected = true;
  }
  context.strokeStyle = stroke;
  context.lineWidth = 1.25;
  context.lineJoin = "bevel";
  context.stroke();
  if (end - begin < width / 6) drawSamples(context, columns, field, stroke, begin, end, x, y);
}

/** Single rows are points once there is room. */
function drawSamples(
  context: CanvasRenderingContext2D,
  { first, count }: SeriesColumns,
  field: FieldColumns,
  fill: string,
  begin: number,
  end: number,
  x: (time: number) => number,
  y: (value: number) => number,
): void {
  context.fillStyle = fill;
  context.beginPath();
  for (let index = begin; index <= end; index += 1) {
    if (count[index] !== 1 || Number.isNaN(field.first[index]!)) continue;
    const [px, py] = [x(first[index]!), y(field.first[index]!)];
    context.moveTo(px + 2.2, py);
    context.arc(px, py, 2.2, 0, Math.PI * 2);
  }
  context.fill();
}
