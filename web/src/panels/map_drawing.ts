/** Draws tracks, a grid of round distances, a scale. */

import { columnAt, type SeriesColumns } from "../api/series.ts";
import { roundStep } from "../lib/ticks.ts";
import type { Window } from "../lib/window.ts";
import { labelFont } from "../ui/canvas.tsx";
import { color, seriesName } from "../ui/theme.ts";
import { type MapView, type Track, toScreen } from "./map_view.ts";

interface Size {
  width: number;
  height: number;
}

/** The positions of a topic, without those that are missing. */
export function trackOf(columns: SeriesColumns, latitude: string, longitude: string): Track {
  const rows = [...columns.first.keys()].filter((index) => {
    const [lat, lon] = [columns.fields.get(latitude)!.first[index]!, columns.fields.get(longitude)!.first[index]!];
    return Math.abs(lat) <= 90 && Math.abs(lon) <= 360 && !(lat === 0 && lon === 0);
  });
  const pick = (values: Float64Array) => Float64Array.from(rows, (index) => values[index]!);
  return {
    time: pick(columns.first),
    latitude: pick(columns.fields.get(latitude)!.first),
    longitude: pick(columns.fields.get(longitude)!.first),
  };
}

export function drawMap(
  context: CanvasRenderingContext2D,
  size: Size,
  view: MapView,
  tracks: Track[],
  window: Window,
  cursor: number,
): void {
  drawGrid(context, size, view);
  for (const [index, track] of tracks.entries()) {
    const stroke = color(seriesName(index));
    drawTrack(
      context,
      view,
      track,
      { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY },
      color("line-strong"),
      2,
    );
    drawTrack(context, view, track, window, stroke, 2.5);
    drawPosition(context, view, track, cursor, stroke);
  }
}

function drawTrack(
  context: CanvasRenderingContext2D,
  view: MapView,
  track: Track,
  window: Window,
  stroke: string,
  width: number,
): void {
  context.beginPath();
  let begun = false;
  for (let index = 0; index < track.time.length; index += 1) {
    if (track.time[index]! < window.from || track.time[index]! > window.to) continue;
    const { x, y } = toScreen(view, track.latitude[index]!, track.longitude[index]!);
    if (begun) context.lineTo(x, y);
    else context.moveTo(x, y);
    begun = true;
  }
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.lineJoin = "bevel";
  context.stroke();
}

function drawPosition(context: CanvasRenderingContext2D, view: MapView, track: Track, cursor: number, fill: string) {
  const index = Math.max(0, columnAt(track.time, cursor));
  if (index >= track.time.length) return;
  const { x, y } = toScreen(view, track.latitude[index]!, track.longitude[index]!);
  context.beginPath();
  context.arc(x, y, 6, 0, Math.PI * 2);
  context.fillStyle = fill;
  context.fill();
  context.lineWidth = 2.5;
  context.strokeStyle = color("cursor");
  context.stroke();
}

function drawGrid(context: CanvasRenderingContext2D, { width, height }: Size, view: MapView): void {
  const metres = roundStep(90 / view.scale);
  const step = metres * view.scale;
  context.fillStyle = color("line");
  for (let x = ((view.left % step) + step) % step; x < width; x += step) context.fillRect(Math.round(x), 0, 1, height);
  for (let y = ((view.top % step) + step) % step; y < height; y += step) context.fillRect(0, Math.round(y), width, 1);
  const text = metres >= 1000 ? `${metres / 1000} km` : metres >= 1 ? `${metres} m` : `${metres * 100} cm`;
  context.font = labelFont();
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillStyle = color("muted");
  context.fillRect(12, height - 13, step, 1.5);
  context.fillRect(12, height - 17, 1.5, 5);
  context.fillRect(10.5 + step, height - 17, 1.5, 5);
  context.fillText(text, 18, height - 19);
  context.textAlign = "right";
  context.fillText("N ↑", width - 12, height - 12);
}
