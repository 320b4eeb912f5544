/** Moves the cursor with the clock. */

import { effect } from "@preact/signals";
import type { SequenceModel } from "./model.ts";

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100];
/** A frame of the screen that lasts longer, as in a hidden tab, counts as this long. */
const LONGEST_FRAME_MS = 250;

/** Plays while `model.playing`; returns what ends it. */
export function startPlayer(model: SequenceModel): () => void {
  let frame = 0;
  let last = 0;
  const step = (now: number) => {
    const passed = Math.min(now - last, LONGEST_FRAME_MS) * 1e6 * model.speed.value;
    last = now;
    const { from, to } = model.extent.value;
    const next = model.cursor.value + passed;
    if (next < to) model.seek(next);
    else if (model.loop.value && !model.recording.value) model.seek(from);
    else {
      model.seek(to);
      if (!model.recording.value) model.playing.value = false;
    }
    if (model.playing.value) frame = requestAnimationFrame(step);
  };
  const stopEffect = effect(() => {
    cancelAnimationFrame(frame);
    if (!model.playing.value) return;
    last = performance.now();
    frame = requestAnimationFrame(step);
  });
  return () => {
    stopEffect();
    cancelAnimationFrame(frame);
  };
}

export function togglePlaying(model: SequenceModel): void {
  const atEnd = model.cursor.value >= model.extent.value.to;
  if (!model.playing.value && atEnd && !model.recording.value) model.seek(0);
  model.playing.value = !model.playing.value;
}

/** The next higher (1) or lower (-1) speed. */
export function changeSpeed(model: SequenceModel, step: 1 | -1): void {
  const at = SPEEDS.findIndex((speed) => speed >= model.speed.value);
  model.speed.value = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at + step))]!;
}
