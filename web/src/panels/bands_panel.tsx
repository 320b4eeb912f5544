/** Booleans and enums as bands of color: when which state was. */

import { useComputed, useSignal } from "@preact/signals";
import { useCallback, useRef } from "preact/hooks";
import { columnAt, type SeriesColumns } from "../api/series.ts";
import { lengthOf, type Window } from "../lib/window.ts";
import { useTimeGestures } from "../sequence/gestures.ts";
import { Canvas, labelFont } from "../ui/canvas.tsx";
import { color, seriesName } from "../ui/theme.ts";
import { fieldsOf } from "./panel.ts";
import type { PanelProps } from "./panel_frame.tsx";
import { PlotLine } from "./plot_panel.tsx";
import type { SeriesLoader } from "./series_loader.ts";
import { type Band, bandsOf } from "./state_bands.ts";
import { errorOf, useSeries } from "./use_series.ts";

export function BandsPanel({ model, panel, topicOf }: PanelProps) {
  const width = useSignal(0);
  const area = useRef<HTMLDivElement>(null);
  const loaders = useSeries(
    model,
    panel.sources,
    () => width.value,
    (m) => m.window.value,
  );
  useTimeGestures(model, area, { drag: "pan", wheel: "zoom" });
  const error = errorOf(loaders);
  return (
    <div class="bands">
      <div class="band-labels">
        {fieldsOf(panel).map(({ topic, field }) => (
          <div key={`${topic} ${field}`} class="band-label" title={`${topic} ${field}`}>
            <span>{label(topic, field)}</span>
            <StateAt model={model} loader={loaders.get(topic)!} field={field} bool={isBool(topicOf(topic), field)} />
          </div>
        ))}
      </div>
      <div class="band-area" ref={area}>
        {fieldsOf(panel).map(({ topic, field }) => (
          <BandRow
            key={`${topic} ${field}`}
            model={model}
            loader={loaders.get(topic)!}
            field={field}
            bool={isBool(topicOf(topic), field)}
            onWidth={(w) => {
              width.value = Math.round(w);
            }}
          />
        ))}
        <PlotLine model={model} kind="hover" left={0} />
        <PlotLine model={model} kind="cursor" left={0} />
        {error && <p class="panel-problem">{error}</p>}
      </div>
    </div>
  );
}

interface RowProps {
  model: PanelProps["model"];
  loader: SeriesLoader;
  field: string;
  bool: boolean;
}

function BandRow({ model, loader, field, bool, onWidth }: RowProps & { onWidth: (width: number) => void }) {
  const draw = useCallback(
    (context: CanvasRenderingContext2D, width: number, height: number) => {
      const loaded = loader.loaded.value;
      if (loaded) drawBands(context, bandsOf(loaded.columns, field), model.window.value, { width, height }, bool);
    },
    [model, loader, field, bool],
  );
  return <Canvas draw={draw} class="band" label={`States of ${field}`} onSize={onWidth} />;
}

function drawBands(
  context: CanvasRenderingContext2D,
  bands: Band[],
  window: Window,
  size: { width: number; height: number },
  bool: boolean,
): void {
  const scale = size.width / lengthOf(window);
  context.font = labelFont();
  context.textBaseline = "middle";
  for (const band of bands) {
    const from = Math.max(0, (band.from - window.from) * scale);
    const to = Math.min(size.width, (band.to - window.from) * scale);
    if (to <= 0 || from >= size.width) continue;
    context.fillStyle = fillOf(band, bool);
    context.fillRect(from, 2, Math.max(1, to - from - 0.5), size.height - 4);
    const text = textOf(band.value, bool);
    if (to - from < context.measureText(text).width + 14) continue;
    context.fillStyle = bool && band.value === 0 ? color("muted") : color("on-state");
    context.fillText(text, from + 7, size.height / 2 + 0.5);
  }
}

function fillOf({ value }: Band, bool: boolean): string {
  if (value === null) return color("line-strong");
  if (bool) return value === 0 ? color("hover") : color("lane");
  return color(seriesName(value));
}

function textOf(value: number | null, bool: boolean): string {
  if (value === null) return "changes";
  if (Number.isNaN(value)) return "–";
  return bool ? (value === 0 ? "false" : "true") : String(value);
}

function StateAt({ model, loader, field, bool }: RowProps) {
  const text = useComputed(() => {
    const columns: SeriesColumns | undefined = loader.loaded.value?.columns;
    const index = columns ? columnAt(columns.first, model.hover.value ?? model.cursor.value) : -1;
    return columns && index >= 0 ? textOf(columns.fields.get(field)!.last[index]!, bool) : "–";
  });
  return <output>{text}</output>;
}

function isBool(topic: ReturnType<PanelProps["topicOf"]>, field: string): boolean {
  return topic?.fields.some(({ path, kind }) => path === field && kind === "bool") ?? false;
}

/** The topic is enough where its only field is `data`. */
function label(topic: string, field: string): string {
  return field === "data" ? topic : `${topic} ${field}`;
}
