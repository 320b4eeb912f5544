/** A canvas that draws again when a signal that it reads, its size or the theme changes. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { frameEffect } from "./frame_effect.ts";
import { theme } from "./theme.ts";

export type Draw = (context: CanvasRenderingContext2D, width: number, height: number) => void;

interface CanvasProps {
  /** Lengths are CSS pixels. A new function draws again. */
  draw: Draw;
  class?: string;
  /** For screen readers; without it the canvas is an ornament. */
  label?: string;
  onSize?: (width: number, height: number) => void;
}

export function Canvas({ draw, label, onSize, ...rest }: CanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useRef(signal({ width: 0, height: 0 })).current;
  /** What is scrolled away is drawn when it is back. */
  const visible = useRef(signal(true)).current;
  useEffect(() => {
    const sight = new IntersectionObserver(([entry]) => {
      visible.value = entry!.isIntersecting;
    });
    sight.observe(canvas.current!);
    return () => sight.disconnect();
  }, []);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      size.value = { width, height };
      onSize?.(width, height);
    });
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(
    () =>
      frameEffect(() => {
        const { width, height } = size.value;
        if (!visible.value || width === 0 || height === 0 || theme.value === undefined || !canvas.current) return;
        const context = prepare(canvas.current, width, height);
        draw(context, width, height);
      }),
    [draw],
  );
  return <canvas ref={canvas} {...rest} role={label ? "img" : undefined} aria-label={label} aria-hidden={!label} />;
}

function prepare(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The font of the page, for labels on a canvas. */
export function labelFont(size = 11): string {
  return `${size}px ${getComputedStyle(document.body).fontFamily}`;
}
