/** GPS tracks on a plane, north up, with a scale. No tiles: nothing is fetched from elsewhere. */

import { useSignal } from "@preact/signals";
import { useCallback, useEffect, useMemo, useRef } from "preact/hooks";
import { placeFields } from "../lib/roles.ts";
import { Canvas } from "../ui/canvas.tsx";
import { IconButton } from "../ui/icons.tsx";
import { drawMap, trackOf } from "./map_drawing.ts";
import { fitView, type MapView, nearest, type Track, zoomView } from "./map_view.ts";
import type { PanelProps } from "./panel_frame.tsx";
import { errorOf, useSeries } from "./use_series.ts";

const TRACK_PX = 4096;
const CLICK_PX = 24;

export function MapPanel({ model, panel, topicOf }: PanelProps) {
  const places = useMemo(
    () =>
      panel.sources.flatMap(({ topic }) => {
        const fields = topicOf(topic) && placeFields(topicOf(topic)!);
        return fields ? [{ topic, ...fields }] : [];
      }),
    [panel.sources.map(({ topic }) => topic).join()],
  );
  const sources = places.map(({ topic, latitude, longitude }) => ({ topic, fields: [latitude, longitude] }));
  const loaders = useSeries(
    model,
    sources,
    () => TRACK_PX,
    (m) => m.extent.value,
  );
  /** Null: the whole track fits. */
  const chosen = useSignal<MapView | null>(null);
  const shown = useRef<MapView | null>(null);
  const element = useRef<HTMLDivElement>(null);

  const tracks = useCallback(
    (): Track[] =>
      places.flatMap(({ topic, latitude, longitude }) => {
        const loaded = loaders.get(topic)?.loaded.value;
        return loaded ? [trackOf(loaded.columns, latitude, longitude)] : [];
      }),
    [loaders],
  );
  const draw = useCallback(
    (context: CanvasRenderingContext2D, width: number, height: number) => {
      const all = tracks();
      const view = chosen.value ?? fitView(all, width, height);
      shown.current = view;
      if (view) drawMap(context, { width, height }, view, all, model.window.value, model.cursor.value);
    },
    [tracks, model],
  );
  useEffect(
    () => attachMap(element.current!, shown, chosen, (x, y) => seekNearest(tracks(), shown.current, x, y)),
    [tracks],
  );
  const seekNearest = (all: Track[], view: MapView | null, x: number, y: number) => {
    const found = view && nearest(all, view, x, y);
    if (found && found.distance < CLICK_PX) model.seek(found.time);
  };
  const error = errorOf(loaders);
  return (
    <div class="map" ref={element}>
      <Canvas draw={draw} label={`Track of ${places.map(({ topic }) => topic).join(", ")}`} />
      {chosen.value && (
        <div class="map-tools">
          <IconButton
            icon="shrink"
            label="Show the whole track"
            onClick={() => {
              chosen.value = null;
            }}
          />
        </div>
      )}
      {error && <p class="panel-problem">{error}</p>}
    </div>
  );
}

/** Wheel zooms, drag moves, click seeks. */
function attachMap(
  element: HTMLElement,
  shown: { current: MapView | null },
  chosen: { value: MapView | null },
  onClick: (x: number, y: number) => void,
): () => void {
  const end = new AbortController();
  const { signal } = end;
  let start: { x: number; y: number; view: MapView; moved: boolean } | null = null;
  const place = (event: MouseEvent) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  element.addEventListener(
    "wheel",
    (event) => {
      if (!shown.current) return;
      event.preventDefault();
      const { x, y } = place(event);
      chosen.value = zoomView(shown.current, x, y, Math.exp(-event.deltaY * 0.002));
    },
    { signal, passive: false },
  );
  element.addEventListener(
    "pointerdown",
    (event) => {
      if (!shown.current || event.button !== 0 || (event.target as HTMLElement).closest("button")) return;
      element.setPointerCapture(event.pointerId);
      start = { ...place(event), view: shown.current, moved: false };
    },
    { signal },
  );
  element.addEventListener(
    "pointermove",
    (event) => {
      if (!start) return;
      const { x, y } = place(event);
      start.moved ||= Math.hypot(x - start.x, y - start.y) > 4;
      if (!start.moved) return;
      const { view } = start;
      chosen.value = { ...view, left: view.left + x - start.x, top: view.top + y - start.y };
    },
    { signal },
  );
  element.addEventListener(
    "pointerup",
    (event) => {
      const { x, y } = place(event);
      if (start && !start.moved) onClick(x, y);
      start = null;
    },
    { signal },
  );
  return () => end.abort();
}
