/** Pointer and wheel on a time axis: seek, pan, zoom, select. The same everywhere. */

import { type Signal, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { lengthOf, pan, type Window, zoom } from "../lib/window.ts";
import type { SequenceModel } from "./model.ts";

export interface GestureOptions {
  /** A drag moves the window, or the cursor. */
  drag: "pan" | "scrub";
  /** The wheel zooms, or only together with Ctrl: where the wheel scrolls a list. */
  wheel: "zoom" | "ctrl";
  /** Pixels at the left that do not belong to the axis. */
  left?: () => number;
}

const CLICK_PX = 4;

/** Adds the gestures to an element. The signal is the range that is being selected. */
export function useTimeGestures(
  model: SequenceModel,
  element: { current: HTMLElement | null },
  options: GestureOptions,
) {
  const selection = useRef(signal<Window | null>(null)).current;
  useEffect(() => attach(model, element.current!, options, selection), [model]);
  return selection;
}

function attach(model: SequenceModel, element: HTMLElement, options: GestureOptions, selection: Signal<Window | null>) {
  const left = () => options.left?.() ?? 0;
  const pointers = new Map<number, number>();
  let start: { x: number; window: Window; select: boolean; moved: boolean } | null = null;
  let pinch: { anchor: number; distance: number; window: Window } | null = null;

  const width = () => element.clientWidth - left();
  const xOf = (event: MouseEvent) => event.clientX - element.getBoundingClientRect().left - left();
  const timeIn = (window: Window, x: number) => window.from + (x / width()) * lengthOf(window);
  const timeOf = (event: MouseEvent) => timeIn(model.window.value, xOf(event));

  const onDown = (event: PointerEvent) => {
    if (event.button !== 0 || xOf(event) < 0 || (event.target as HTMLElement).closest("button, a, input")) return;
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, xOf(event));
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()] as [number, number];
      const window = model.window.value;
      pinch = { anchor: timeIn(window, (a + b) / 2), distance: Math.max(8, Math.abs(a - b)), window };
      start = null;
      return;
    }
    start = { x: xOf(event), window: model.window.value, select: event.shiftKey, moved: false };
    if (options.drag === "scrub" && !event.shiftKey) model.seek(timeOf(event));
  };
  const onMove = (event: PointerEvent) => {
    model.hover.value = xOf(event) >= 0 ? timeOf(event) : null;
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, xOf(event));
    if (pinch && pointers.size === 2) {
      const [a, b] = [...pointers.values()] as [number, number];
      const factor = pinch.distance / Math.max(8, Math.abs(a - b));
      model.show(zoom(pinch.window, pinch.anchor, factor, model.extent.value));
      return;
    }
    if (!start) return;
    const x = xOf(event);
    start.moved ||= Math.abs(x - start.x) >= CLICK_PX;
    if (!start.moved) return;
    if (start.select) {
      const [a, b] = [timeIn(start.window, start.x), timeIn(start.window, x)].sort((m, n) => m - n);
      selection.value = { from: a!, to: b! };
    } else if (options.drag === "scrub") model.seek(timeOf(event));
    else model.show(pan(start.window, ((start.x - x) / width()) * lengthOf(start.window), model.extent.value));
  };
  const onUp = (event: PointerEvent) => {
    pointers.delete(event.pointerId);
    if (pointers.size < 2) pinch = null;
    if (!start) return;
    if (selection.value) model.show(selection.value);
    else if (!start.moved && event.type === "pointerup") model.seek(timeOf(event));
    selection.value = null;
    start = null;
  };
  const onLeave = () => {
    model.hover.value = null;
  };
  const onWheel = (event: WheelEvent) => {
    if (xOf(event) < 0) return;
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      event.preventDefault();
      model.show(pan(model.window.value, (sideways / width()) * lengthOf(model.window.value), model.extent.value));
    } else if (options.wheel === "zoom" || event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const factor = Math.exp(Math.max(-240, Math.min(240, event.deltaY)) * (event.ctrlKey ? 0.008 : 0.0022));
      model.show(zoom(model.window.value, timeOf(event), factor, model.extent.value));
    }
  };
  const onDouble = (event: MouseEvent) => {
    if (xOf(event) >= 0) model.showAll();
  };

  const end = new AbortController();
  const { signal } = end;
  element.addEventListener("pointerdown", onDown, { signal });
  element.addEventListener("pointermove", onMove, { signal });
  element.addEventListener("pointerup", onUp, { signal });
  element.addEventListener("pointercancel", onUp, { signal });
  element.addEventListener("pointerleave", onLeave, { signal });
  element.addEventListener("wheel", onWheel, { signal, passive: false });
  element.addEventListener("dblclick", onDouble, { signal });
  return () => end.abort();
}
