/** Keys of the sequence view. */

import { lengthOf, pan, zoom } from "../lib/window.ts";
import type { SequenceModel } from "./model.ts";
import { changeSpeed, togglePlaying } from "./player.ts";

/** Key to what it does, for the help. */
export const KEYS: [keys: string, meaning: string][] = [
  ["Space", "play or pause"],
  ["← →", "1 % of the window back or forward; with Shift 10 %"],
  [", .", "previous or next message of the selected topic"],
  ["Home End", "first or last message"],
  ["[ ]", "slower or faster"],
  ["+ −", "zoom in or out at the cursor"],
  ["0", "show everything"],
  ["a d", "move the window"],
  ["f", "follow a recording in progress"],
  ["?", "this list"],
  ["Esc", "back to all recordings"],
];

export interface KeyActions {
  /** Moves the cursor to the previous or next message. */
  stepMessage: (direction: 1 | -1) => void;
  help: () => void;
  leave: () => void;
}

/** Whether a key was one of the view's. */
export function pressKey(model: SequenceModel, event: KeyboardEvent, actions: KeyActions): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const { window, cursor, extent } = model;
  const length = lengthOf(window.value);
  const zoomBy = (factor: number) => model.show(zoom(window.value, cursor.value, factor, extent.value));
  const step = length * (event.shiftKey ? 0.1 : 0.01);
  const keys: Record<string, () => void> = {
    " ": () => togglePlaying(model),
    ArrowLeft: () => model.seek(cursor.value - step),
    ArrowRight: () => model.seek(cursor.value + step),
    ",": () => actions.stepMessage(-1),
    ".": () => actions.stepMessage(1),
    Home: () => model.seek(extent.value.from),
    End: () => model.seek(extent.value.to),
    "[": () => changeSpeed(model, -1),
    "]": () => changeSpeed(model, 1),
    "+": () => zoomBy(0.6),
    "=": () => zoomBy(0.6),
    "-": () => zoomBy(1 / 0.6),
    "0": () => model.showAll(),
    a: () => model.show(pan(window.value, -length * 0.2, extent.value)),
    d: () => model.show(pan(window.value, length * 0.2, extent.value)),
    f: () => model.recording.value && model.setFollow(!model.follow.value),
    "?": () => actions.help(),
    Escape: () => actions.leave(),
  };
  const action = keys[event.key];
  if (!action) return false;
  action();
  return true;
}

/** Whether a key belongs to the element that has the focus. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  if (target.closest("input, textarea, select, dialog, [role=menu]")) return true;
  return event.key === " " && target.closest("button, a") !== null;
}
