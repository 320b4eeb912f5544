/** The bar at the top of each view. */

import type { ComponentChildren } from "preact";
import { LIST, printRoute } from "../lib/route.ts";
import { IconButton } from "./icons.tsx";
import { theme, toggleTheme } from "./theme.ts";

export function AppHeader({ store, children }: { store?: string; children?: ComponentChildren }) {
  return (
    <header class="app-header">
      <a class="brand" href={printRoute(LIST)} aria-label="All recordings" title={store}>
        <img src="./icon.svg" alt="" width="20" height="20" />
        <span>mosaico</span>
      </a>
      {children}
      <IconButton
        icon={theme.value === "dark" ? "sun" : "moon"}
        label={theme.value === "dark" ? "Light colors" : "Dark colors"}
        onClick={toggleTheme}
      />
    </header>
  );
}
