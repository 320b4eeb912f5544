/** Paths of poses, and points at the cursor, in space. Loaded when it is shown first. */

import { effect, signal, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { messagesArrow } from "../api/client.ts";
import { messageOf } from "../api/http.ts";
import { columnAt, type SeriesColumns } from "../api/series.ts";
import { Latest, throttle } from "../lib/latest.ts";
import { type CloudForm, cloudForm, pathFields } from "../lib/roles.ts";
import { roundStep } from "../lib/ticks.ts";
import type { SequenceModel } from "../sequence/model.ts";
import { frameEffect } from "../ui/frame_effect.ts";
import { IconButton } from "../ui/icons.tsx";
import { color, seriesName, theme } from "../ui/theme.ts";
import { bodyAxes, boxOf, type Camera, cameraFor, dolly, matrixOf, orbit, slide } from "./camera.ts";
import { decodePoints, fromColumns, type Points } from "./cloud.ts";
import type { PanelProps } from "./panel_frame.tsx";
import { Renderer, rgb, type Shape } from "./renderer.ts";
import { errorOf, useSeries } from "./use_series.ts";

const PATH_PX = 4096;
const SOON_MS = 60;
const GRID_LINES = 20;
const AXIS_COLORS: [number, number, number][] = [
  [0.95, 0.3, 0.3],
  [0.3, 0.85, 0.4],
  [0.35, 0.55, 1],
];

export default function ScenePanel({ model, panel, topicOf }: PanelProps) {
  const key = panel.sources.map(({ topic }) => topic).join("!");
  const sources = useMemo(
    () =>
      panel.sources.flatMap(({ topic }) => {
        const path = topicOf(topic) && pathFields(topicOf(topic)!);
        return path ? [{ topic, fields: [...path.xyz, ...(path.orientation ?? [])] }] : [];
      }),
    [key],
  );
  const cloud = useMemo(() => {
    for (const { topic } of panel.sources) {
      const form = topicOf(topic) && cloudForm(topicOf(topic)!);
      if (form) return { topic, form };
    }
    return null;
  }, [key]);
  const loaders = useSeries(
    model,
    sources,
    () => PATH_PX,
    (m) => m.extent.value,
  );
  const points = useCloud(model, cloud);
  const canvas = useRef<HTMLCanvasElement>(null);
  const failure = useSignal<string | null>(null);
  const camera = useRef(signal<Camera | null>(null)).current;
  const moved = useSignal(false);

  useEffect(() => {
    const element = canvas.current!;
    let renderer: Renderer;
    try {
      renderer = new Renderer(element);
    } catch (error) {
      failure.value = messageOf(error);
      return;
    }
    const size = signal({ width: 0, height: 0 });
    const observer = new ResizeObserver(([entry]) => {
      size.value = { width: entry!.contentRect.width, height: entry!.contentRect.height };
    });
    observer.observe(element);
    const paths = new WeakMap<SeriesColumns, Float32Array>();
    const stop = frameEffect(() => {
      const { width, height } = size.value;
      if (width === 0 || theme.value === undefined) return;
      const shapes: Shape[] = [];
      const bodies: { position: Float32Array; turn: number[] }[] = [];
      for (const [index, { topic, fields }] of sources.entries()) {
        const columns = loaders.get(topic)?.loaded.value?.columns;
        if (!columns) continue;
        const line = paths.get(columns) ?? pathOf(columns, fields);
        paths.set(columns, line);
        shapes.push({ kind: "line", positions: line, color: rgb(color(seriesName(index))) });
        const at = columnAt(columns.first, model.cursor.value);
        if (at < 0) continue;
        const position = line.slice(at * 3, at * 3 + 3);
        bodies.push({ position, turn: fields.slice(3).map((field) => columns.fields.get(field)!.first[at]!) });
      }
      if (points.value.value) shapes.push({ kind: "points", positions: points.value.value, color: null, size: 2 });
      const box = boxOf(shapes.map((shape) => shape.positions));
      if (!box) return;
      if (!moved.peek()) camera.value = cameraFor(box, camera.peek() ?? undefined);
      const ratio = devicePixelRatio || 1;
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (element.width !== w) element.width = w;
      if (element.height !== h) element.height = h;
      for (const { position, turn } of bodies) shapes.push(...bodyShapes(position, turn, camera.value!));
      shapes.unshift({ kind: "lines", positions: gridOf(camera.value!, box.low[2]), color: rgb(color("line-strong")) });
      renderer.draw(shapes, matrixOf(camera.value!, width / height), rgb(color("surface")), ratio);
    });
    const detach = attachCamera(element, camera, () => {
      moved.value = true;
    });
    return () => {
      stop();
      detach();
      observer.disconnect();
      renderer.dispose();
    };
  }, [model, key]);

  const error = failure.value ?? points.error.value ?? errorOf(loaders);
  return (
    <div class="scene">
      <canvas ref={canvas} role="img" aria-label={`3-D view of ${key.replaceAll("!", ", ")}`} />
      {moved.value && (
        <div class="map-tools">
          <IconButton
            icon="shrink"
            label="Show everything"
            onClick={() => {
              moved.value = false;
              camera.value = camera.value && { ...camera.value };
            }}
          />
        </div>
      )}
      {error && <p class="panel-problem">{error}</p>}
    </div>
  );
}

/** The points at the cursor. */
function useCloud(model: SequenceModel, cloud: { topic: string; form: CloudForm } | null) {
  const state = useRef({ value: signal<Points | null>(null), error: signal<string | null>(null) }).current;
  useEffect(() => {
    if (!cloud) return;
    const request = new Latest();
    let busy = false;
    const load = throttle(SOON_MS, async () => {
      if (busy) return;
      busy = true;
      const cursor = model.cursor.peek();
      try {
        const at = { at: model.timeAt(cursor) };
        const bytes = await request.run((signal) => messagesArrow(model.name, cloud.topic, at, signal));
        if (bytes) state.value.value = decodePoints(bytes, cloud.form);
        state.error.value = null;
      } catch (failure) {
        state.error.value = messageOf(failure);
      }
      busy = false;
      if (cursor !== model.cursor.peek()) load(); // a large cloud takes longer than a step of the cursor
    });
    const stop = effect(() => {
      if (model.cursor.value >= 0 && model.detail.value?.time_range) load();
    });
    return () => {
      stop();
      load.cancel();
      request.cancel();
    };
  }, [model, cloud?.topic]);
  return state;
}

/** The axes of a body, red, green and blue as usual; without an orientation a point. */
function bodyShapes(position: Float32Array, turn: number[], camera: Camera): Shape[] {
  const point: Shape = {
    kind: "points",
    positions: position,
    color: rgb(color("cursor")),
    size: turn.length > 0 ? 5 : 9,
  };
  if (turn.length === 0) return [point];
  const axes = bodyAxes(position, turn, camera.distance * 0.09);
  return [point, ...axes.map((positions, axis): Shape => ({ kind: "lines", positions, color: AXIS_COLORS[axis]! }))];
}

function pathOf(columns: SeriesColumns, fields: string[]): Float32Array {
  const [x, y, z] = fields.slice(0, 3).map((field) => columns.fields.get(field)!.first) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  return fromColumns(x, y, z);
}

/** A square grid below everything, in round distances. */
function gridOf({ target, distance }: Camera, z: number): Float32Array {
  const step = roundStep(distance / 12);
  const half = (GRID_LINES / 2) * step;
  const [x0, y0] = [Math.round(target[0] / step) * step, Math.round(target[1] / step) * step];
  const lines: number[] = [];
  for (let index = -GRID_LINES / 2; index <= GRID_LINES / 2; index += 1) {
    const at = index * step;
    lines.push(x0 + at, y0 - half, z, x0 + at, y0 + half, z, x0 - half, y0 + at, z, x0 + half, y0 + at, z);
  }
  return Float32Array.from(lines);
}

/** Drag turns, Shift or the right button moves, the wheel zooms. */
function attachCamera(element: HTMLElement, camera: { value: Camera | null }, onMove: () => void): () => void {
  const end = new AbortController();
  const { signal } = end;
  const change = (next: (camera: Camera) => Camera) => {
    if (!camera.value) return;
    onMove();
    camera.value = next(camera.value);
  };
  element.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  element.addEventListener("pointerdown", (event) => element.setPointerCapture(event.pointerId), { signal });
  element.addEventListener(
    "pointermove",
    (event) => {
      if (event.buttons === 0) return;
      const { movementX: dx, movementY: dy } = event;
      const sliding = event.shiftKey || event.buttons === 2;
      change((now) => (sliding ? slide(now, dx, dy, element.clientHeight) : orbit(now, dx, dy)));
    },
    { signal },
  );
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      change((now) => dolly(now, Math.exp(event.deltaY * 0.0015)));
    },
    { signal, passive: false },
  );
  return () => end.abort();
}
