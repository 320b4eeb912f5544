/** The axis above the lanes: drag moves the cursor, the wheel zooms. */

import { useCallback, useRef } from "preact/hooks";
import { formatClock, formatOffset } from "../lib/format.ts";
import { timeTicks } from "../lib/ticks.ts";
import { lengthOf } from "../lib/window.ts";
import { Canvas, labelFont } from "../ui/canvas.tsx";
import { color } from "../ui/theme.ts";
import { useTimeGestures } from "./gestures.ts";
import type { SequenceModel } from "./model.ts";

const PX_PER_TICK = 96;

export function Ruler({ model }: { model: SequenceModel }) {
  const element = useRef<HTMLDivElement>(null);
  const selection = useTimeGestures(model, element, { drag: "scrub", wheel: "zoom" });
  const draw = useCallback(
    (context: CanvasRenderingContext2D, width: number, height: number) => {
      const window = model.window.value;
      const ticks = timeTicks(window.from, window.to, width / PX_PER_TICK);
      context.font = labelFont();
      context.textBaseline = "middle";
      for (const value of ticks.values) {
        const x = ((value - window.from) / lengthOf(window)) * width;
        context.fillStyle = color("line-strong");
        context.fillRect(Math.round(x), height - 7, 1, 7);
        context.fillStyle = color("muted");
        const text = formatOffset(value, ticks.step);
        const half = context.measureText(text).width / 2;
        context.fillText(text, Math.min(Math.max(x - half, 2), width - 2 * half - 2), height / 2 - 4);
      }
      const chosen = selection.value;
      if (chosen) {
        const x = ((chosen.from - window.from) / lengthOf(window)) * width;
        context.fillStyle = color("accent-soft");
        context.globalAlpha = 0.7;
        context.fillRect(x, 0, (lengthOf(chosen) / lengthOf(window)) * width, height);
        context.globalAlpha = 1;
      }
    },
    [model],
  );
  const { from, to } = model.extent.value;
  const cursor = model.cursor.value;
  return (
    <div
      ref={element}
      class="ruler"
      role="slider"
      tabIndex={0}
      aria-label="Time"
      aria-valuemin={from}
      aria-valuemax={to}
      aria-valuenow={cursor}
      aria-valuetext={`${formatOffset(cursor)}, ${formatClock(model.timeAt(cursor))}`}
    >
      <Canvas draw={draw} onSize={(width) => model.setLanePx(Math.round(width))} />
    </div>
  );
}
