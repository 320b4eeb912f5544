/** The camera frame at the cursor, of pictures or of a video. */

import { effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { formatOffset } from "../lib/format.ts";
import { FrameLoader } from "./frame_loader.ts";
import type { PanelProps } from "./panel_frame.tsx";
import { VideoLoader } from "./video_loader.ts";
import type { VideoCodec } from "./video_packets.ts";

export function ImagePanel({ model, panel }: PanelProps) {
  const topic = panel.sources[0]!.topic;
  const canvas = useRef<HTMLCanvasElement>(null);
  const shown = useSignal<number | null>(null);
  const error = useSignal<string | null>(null);
  const none = useSignal(false);
  const video = useSignal<VideoCodec | null>(null);
  useEffect(() => {
    // A frame may be decoded after the canvas has left the page and before this effect ends.
    const element = canvas.current!;
    const origin = () => model.origin.value;
    const codec = video.value;
    const loader = codec
      ? new VideoLoader(model.name, topic, origin, codec)
      : new FrameLoader(model.name, topic, origin, widthOf(element));
    const stops = [
      effect(() => {
        if (model.detail.value?.time_range) loader.want(model.cursor.value, model.playing.value);
      }),
      effect(() => {
        error.value = loader.error.value;
        const frame = loader.shown.value;
        if (!frame) return;
        drawOn(element, frame.picture);
        shown.value = frame.time;
      }),
      effect(() => {
        if (!(loader instanceof FrameLoader)) return;
        none.value = loader.none.value;
        if (loader.video.value) video.value = loader.video.value;
      }),
    ];
    return () => {
      for (const stop of stops) stop();
      loader.stop();
    };
  }, [model, topic, video.value]);
  return (
    <div class="picture">
      <canvas
        ref={canvas}
        hidden={none.value}
        width="0"
        height="0"
        role="img"
        aria-label={`Frame of ${topic}`}
        data-time={shown.value}
      />
      {none.value && <p class="panel-note">No frame at or before the cursor.</p>}
      {shown.value !== null && !none.value && <span class="picture-time">{formatOffset(shown.value)}</span>}
      {error.value && <p class="panel-problem">{error.value}</p>}
    </div>
  );
}

function drawOn(canvas: HTMLCanvasElement, picture: ImageBitmap | VideoFrame): void {
  const [width, height] =
    picture instanceof ImageBitmap ? [picture.width, picture.height] : [picture.displayWidth, picture.displayHeight];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d")!.drawImage(picture, 0, 0);
}

/** The width to load: that of the panel on this screen, in steps, so that the daemon scales to few sizes. */
function widthOf(canvas: HTMLCanvasElement): number {
  const px = canvas.parentElement!.clientWidth * (devicePixelRatio || 1);
  return Math.max(320, Math.ceil(px / 320) * 320);
}
