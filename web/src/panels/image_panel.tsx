/** The camera frame at the cursor; the next ones are loaded ahead while the player runs. */

import { effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { formatOffset } from "../lib/format.ts";
import { FrameLoader } from "./frame_loader.ts";
import type { PanelProps } from "./panel_frame.tsx";

export function ImagePanel({ model, panel }: PanelProps) {
  const topic = panel.sources[0]!.topic;
  const canvas = useRef<HTMLCanvasElement>(null);
  const shown = useSignal<number | null>(null);
  const error = useSignal<string | null>(null);
  useEffect(() => {
    const frames = new FrameLoader(model.name, topic, () => model.origin.value, widthOf(canvas.current!));
    const stop = effect(() => {
      if (!model.detail.value?.time_range) return;
      frames.want(model.cursor.value, model.playing.value);
    });
    const stopDrawing = effect(() => {
      error.value = frames.error.value;
      const frame = frames.shown.value;
      if (!frame) return;
      const target = canvas.current!;
      if (target.width !== frame.picture.width) target.width = frame.picture.width;
      if (target.height !== frame.picture.height) target.height = frame.picture.height;
      target.getContext("2d")!.drawImage(frame.picture, 0, 0);
      shown.value = frame.time;
    });
    return () => {
      stop();
      stopDrawing();
      frames.stop();
    };
  }, [model, topic]);
  return (
    <div class="picture">
      <canvas ref={canvas} width="0" height="0" role="img" aria-label={`Frame of ${topic}`} data-time={shown.value} />
      {shown.value !== null && <span class="picture-time">{formatOffset(shown.value)}</span>}
      {error.value && <p class="panel-problem">{error.value}</p>}
    </div>
  );
}

/** The width to load: that of the panel on this screen, in steps, so that the daemon scales to few sizes. */
function widthOf(canvas: HTMLCanvasElement): number {
  const px = canvas.parentElement!.clientWidth * (devicePixelRatio || 1);
  return Math.max(320, Math.ceil(px / 320) * 320);
}
