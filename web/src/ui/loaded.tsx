/** Components that are loaded when they are needed, so that the first view stays small. */

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { messageOf } from "../api/http.ts";

/** A component whose module is loaded when it is shown first. */
export function loaded<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
  const found = signal<{ default: ComponentType<P> } | null>(null);
  const error = signal<string | null>(null);
  let loading = false;
  return (props: P) => {
    if (!found.value && !loading) {
      loading = true;
      load().then(
        (module) => {
          found.value = module;
        },
        (failure) => {
          error.value = messageOf(failure);
        },
      );
    }
    if (error.value) return <p class="problem">A part of the page is missing: {error.value}. Load the page again.</p>;
    const Found = found.value?.default;
    return Found ? <Found {...props} /> : null;
  };
}
