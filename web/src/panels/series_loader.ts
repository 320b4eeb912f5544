/** Loads what a panel shows of a window: a margin more, so that panning is fluid, and again when it zooms. */

import { signal } from "@preact/signals";
import { series } from "../api/client.ts";
import { messageOf } from "../api/http.ts";
import { decodeSeries, type SeriesColumns } from "../api/series.ts";
import { Latest, throttle } from "../lib/latest.ts";
import { contains, inside, lengthOf, type Window } from "../lib/window.ts";
import type { SequenceModel } from "../sequence/model.ts";

export interface LoadedSeries {
  window: Window;
  columns: SeriesColumns;
  /** Whether each column is one row: zooming in shows nothing new. */
  exact: boolean;
}

const MARGIN = 0.5;
const SOON_MS = 40;
/** Coarser than this share of a pixel per column, the window is loaded again. */
const COARSEST = 0.7;
const MOST_PX = 8192;

export class SeriesLoader {
  readonly loaded = signal<LoadedSeries | null>(null);
  readonly error = signal<string | null>(null);

  readonly #model: SequenceModel;
  readonly #topic: string;
  readonly #fields: string[];
  readonly #request = new Latest();
  readonly #soon = throttle(SOON_MS, () => void this.#load());
  #wanted: { window: Window; px: number } | null = null;
  #loading: { window: Window; px: number; end: number } | null = null;

  constructor(model: SequenceModel, topic: string, fields: string[]) {
    this.#model = model;
    this.#topic = topic;
    this.#fields = fields;
  }

  /** Loads the window unless what is loaded, or on its way, shows it well. */
  want(window: Window, px: number): void {
    if (px <= 0) return;
    this.#wanted = { window, px };
    if (!this.#suffices()) this.#soon();
  }

  stop(): void {
    this.#request.cancel();
    this.#soon.cancel();
  }

  #suffices(): boolean {
    const { window, px } = this.#wanted!;
    const source = this.#loading;
    if (!source) return false;
    const end = this.#model.extent.value.to;
    if (source.end < Math.min(window.to, end)) return false; // a recording in progress has grown
    if (!contains(source.window, inside(window, { from: 0, to: end }))) return false;
    const exact = this.loaded.value?.window === source.window && this.loaded.value.exact;
    return exact || source.px / lengthOf(source.window) >= (px / lengthOf(window)) * COARSEST;
  }

  async #load(): Promise<void> {
    const { window, px } = this.#wanted!;
    const extent = this.#model.extent.value;
    const margin = lengthOf(window) * MARGIN;
    const wide = { from: Math.max(0, window.from - margin), to: Math.min(extent.to, window.to + margin) };
    const widePx = Math.min(MOST_PX, Math.ceil((px * lengthOf(wide)) / lengthOf(window)));
    this.#loading = { window: wide, px: widePx, end: extent.to };
    const model = this.#model;
    const request = { from: model.timeAt(wide.from), to: model.timeAt(wide.to), px: widePx };
    try {
      const bytes = await this.#request.run((signal) => series(model.name, this.#topic, this.#fields, request, signal));
      if (!bytes) return;
      const columns = decodeSeries(bytes, this.#fields, model.origin.value);
      this.loaded.value = { window: wide, columns, exact: columns.count.every((count) => count === 1) };
      this.error.value = null;
    } catch (error) {
      this.error.value = messageOf(error);
      this.#loading = null;
    }
  }
}
