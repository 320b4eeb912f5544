/** Fields over time. */

import { useComputed, useSignal } from "@preact/signals";
import { useCallback, useRef } from "preact/hooks";
import { columnAt } from "../api/series.ts";
import { formatNumber } from "../lib/format.ts";
import { lengthOf } from "../lib/window.ts";
import { useTimeGestures } from "../sequence/gestures.ts";
import { Canvas } from "../ui/canvas.tsx";
import { color, seriesName } from "../ui/theme.ts";
import { commonParent, fieldsOf } from "./panel.ts";
import type { PanelProps } from "./panel_frame.tsx";
import { type Curve, drawPlot, gapOf, LEFT, rangeOf } from "./plot_drawing.ts";
import type { SeriesLoader } from "./series_loader.ts";
import { errorOf, useSeries } from "./use_series.ts";

export function PlotPanel({ model, panel, topicOf }: PanelProps) {
  const element = useRef<HTMLDivElement>(null);
  const width = useSignal(0);
  const hidden = useSignal<string[]>([]);
  const loaders = useSeries(
    model,
    panel.sources,
    () => width.value,
    (m) => m.window.value,
  );
  const selection = useTimeGestures(model, element, { drag: "pan", wheel: "zoom", left: () => LEFT });
  const fields = fieldsOf(panel);
  // The title of the panel has what all fields have in common.
  const parent = panel.sources.length === 1 ? commonParent(panel.sources[0]!.fields) : "";
  const rates = panel.sources.map(({ topic }) => topicOf(topic)?.rate_hz ?? null);

  const curves = useCallback((): Curve[] => {
    return fields.flatMap(({ topic, field }, index) => {
      const loaded = loaders.get(topic)?.loaded.value;
      const columns = loaded?.columns;
      const values = columns?.fields.get(field);
      if (!columns || !values || hidden.value.includes(`${topic} ${field}`)) return [];
      const rate = rates[panel.sources.findIndex((source) => source.topic === topic)] ?? null;
      return [{ columns, field: values, color: color(seriesName(index)), gap: gapOf(rate, columns) }];
    });
  }, [loaders, rates.join()]);
  const draw = useCallback(
    (context: CanvasRenderingContext2D, w: number, h: number) => {
      const window = model.window.value;
      const shown = curves();
      drawPlot(context, { width: w, height: h }, window, rangeOf(shown, window), shown);
      const chosen = selection.value;
      if (!chosen) return;
      const scale = (w - LEFT) / lengthOf(window);
      context.fillStyle = color("accent");
      context.globalAlpha = 0.16;
      context.fillRect(LEFT + (chosen.from - window.from) * scale, 0, lengthOf(chosen) * scale, h);
      context.globalAlpha = 1;
    },
    [curves, model],
  );
  const toggle = (key: string) => {
    const { value } = hidden;
    hidden.value = value.includes(key) ? value.filter((other) => other !== key) : [...value, key];
  };
  const error = errorOf(loaders);
  return (
    <div class="plot">
      <div class="legend">
        {fields.map(({ topic, field }, index) => (
          <button
            type="button"
            key={`${topic} ${field}`}
            class="legend-item"
            aria-pressed={!hidden.value.includes(`${topic} ${field}`)}
            title={`${topic} ${field}: show or hide`}
            onClick={() => toggle(`${topic} ${field}`)}
          >
            <span class="swatch" style={{ background: `var(--${seriesName(index)})` }} />
            {panel.sources.length > 1 && <span class="detail">{topic}</span>}
            {parent ? field.slice(parent.length + 1) : field}
            <ValueAt model={model} loader={loaders.get(topic)!} field={field} />
          </button>
        ))}
      </div>
      <div class="plot-area" ref={element}>
        <Canvas
          draw={draw}
          label={`Plot of ${fields.map(({ field }) => field).join(", ")}`}
          onSize={(w) => {
            width.value = Math.max(0, Math.round(w - LEFT));
          }}
        />
        <PlotLine model={model} kind="hover" />
        <PlotLine model={model} kind="cursor" />
        {error && <p class="panel-problem">{error}</p>}
      </div>
    </div>
  );
}

type ValueProps = Pick<PanelProps, "model"> & { loader: SeriesLoader; field: string };

/** The last value not after the pointer, else the cursor. */
function ValueAt({ model, loader, field }: ValueProps) {
  const text = useComputed(() => {
    const loaded = loader.loaded.value;
    const time = model.hover.value ?? model.cursor.value;
    if (!loaded) return "";
    const index = columnAt(loaded.columns.first, time);
    const values = loaded.columns.fields.get(field)!;
    if (index < 0) return "–";
    // Within a column of several rows, only its first and last value are known.
    const value = time >= loaded.columns.last[index]! ? values.last[index]! : values.first[index]!;
    return formatNumber(value);
  });
  return <output>{text}</output>;
}

export function PlotLine({
  model,
  kind,
  left = LEFT,
}: Pick<PanelProps, "model"> & { kind: "cursor" | "hover"; left?: number }) {
  const share = useComputed(() => {
    const time = model[kind].value;
    const window = model.window.value;
    if (time === null || time < window.from || time > window.to) return null;
    return (time - window.from) / lengthOf(window);
  });
  if (share.value === null) return null;
  return <div class={`time-line ${kind}`} style={{ left: `calc(${left}px + (100% - ${left}px) * ${share.value})` }} />;
}
