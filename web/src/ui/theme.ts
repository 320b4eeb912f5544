/** Dark or light: as the system says, until the user chooses. */

import { effect, signal } from "@preact/signals";

export type Theme = "dark" | "light";

const KEY = "mosaico.theme";
const SERIES_COLORS = 8;

export const theme = signal<Theme>("dark");

/** Follows the system, and writes the theme where style sheets see it. */
export function startTheme(): void {
  const light = matchMedia("(prefers-color-scheme: light)");
  const choose = () => {
    theme.value = chosen() ?? (light.matches ? "light" : "dark");
  };
  light.addEventListener("change", choose);
  choose();
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
    colors = null;
  });
}

export function toggleTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEY, theme.value);
}

let colors: Map<string, string> | null = null;

/** The value of a color of the style sheet, such as `text` for `--text`, for drawing on a canvas. */
export function color(name: string): string {
  colors ??= new Map();
  let value = colors.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    colors.set(name, value);
  }
  return value;
}

/** The name of the color of the curve, track or state number `index`; negative states have colors too. */
export function seriesName(index: number): string {
  return `series-${((index % SERIES_COLORS) + SERIES_COLORS) % SERIES_COLORS}`;
}

function chosen(): Theme | null {
  const value = localStorage.getItem(KEY);
  return value === "dark" || value === "light" ? value : null;
}
