/** The border between panels and time line; a drag or the arrow keys move it. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

const KEY = "mosaico.time-height";
const LEAST = 120;

export function Splitter() {
  const element = useRef<HTMLDivElement>(null);
  const height = useSignal(Number(localStorage.getItem(KEY)) || Math.round(Math.min(360, innerHeight * 0.36)));
  useEffect(() => {
    element.current!.parentElement!.style.setProperty("--time-height", `${height.value}px`);
    localStorage.setItem(KEY, String(height.value));
  }, [height.value]);
  const set = (value: number) => {
    height.value = Math.round(Math.max(LEAST, Math.min(innerHeight - 160, value)));
  };
  return (
    <div
      ref={element}
      class="splitter"
      role="separator"
      tabIndex={0}
      aria-orientation="horizontal"
      aria-label="Height of the time line"
      aria-valuenow={height.value}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        if (event.buttons === 1) set(innerHeight - event.clientY);
      }}
      onKeyDown={(event) => {
        if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
        event.preventDefault();
        set(height.value + (event.key === "ArrowUp" ? 24 : -24));
      }}
    />
  );
}
