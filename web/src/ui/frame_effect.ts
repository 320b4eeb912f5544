/** An effect that draws: at most once per frame of the screen, however often its signals change. */

import { effect } from "@preact/signals";

/** Runs `draw` now and, after a change of a signal that it read, in the next frame. Returns what ends it. */
export function frameEffect(draw: () => void): () => void {
  let frame = 0;
  let ended = false;
  let stop = () => {};
  const run = () => {
    if (ended) return;
    let first = true;
    stop();
    stop = effect(() => {
      if (first) {
        first = false;
        draw();
      } else frame = requestAnimationFrame(run);
    });
  };
  run();
  return () => {
    ended = true;
    stop();
    cancelAnimationFrame(frame);
  };
}
