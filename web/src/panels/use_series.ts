/** The loaders of a panel, one per topic; they follow the window. */

import { effect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Window } from "../lib/window.ts";
import type { SequenceModel } from "../sequence/model.ts";
import type { Source } from "./panel.ts";
import { SeriesLoader } from "./series_loader.ts";

/** Loads the fields of each source for the window that `view` returns: the window of the model, or everything. */
export function useSeries(
  model: SequenceModel,
  sources: Source[],
  px: () => number,
  view: (model: SequenceModel) => Window,
): Map<string, SeriesLoader> {
  const key = JSON.stringify(sources);
  const loaders = useMemo(
    () => new Map(sources.map(({ topic, fields }) => [topic, new SeriesLoader(model, topic, fields)])),
    [model, key],
  );
  useEffect(() => {
    const stop = effect(() => {
      const window = view(model);
      const width = px();
      if (!model.detail.value?.time_range) return;
      for (const loader of loaders.values()) loader.want(window, width);
    });
    return () => {
      stop();
      for (const loader of loaders.values()) loader.stop();
    };
  }, [loaders]);
  return loaders;
}

/** The first error of the loaders. */
export function errorOf(loaders: Map<string, SeriesLoader>): string | null {
  for (const loader of loaders.values()) if (loader.error.value !== null) return loader.error.value;
  return null;
}
