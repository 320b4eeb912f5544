/** One sequence on the screen: what it has, the window, the cursor, the panels. */

import { batch, computed, signal } from "@preact/signals";
import { density, sequence } from "../api/client.ts";
import { ApiError, isAbort, messageOf, pause } from "../api/http.ts";
import { ns, type SequenceDetail } from "../api/types.ts";
import { Latest, throttle } from "../lib/latest.ts";
import type { SequenceRoute } from "../lib/route.ts";
import { contains, inside, lengthOf, reveal, type Window } from "../lib/window.ts";
import { choosePanels } from "../panels/choose.ts";
import { type Panel, parsePanel, printPanel } from "../panels/panel.ts";

const POLL_MS = 400;
const RETRY_MS = 2000;
const DENSITY_MS = 60;
/** What is visible of a followed recording at first. */
const FOLLOWED_NS = 30e9;

/** Rows per pixel column of each topic in `window`. */
export interface DensityColumns {
  window: Window;
  topics: Map<string, number[]>;
}

export class SequenceModel {
  readonly name: string;
  readonly detail = signal<SequenceDetail | null>(null);
  readonly error = signal<string | null>(null);
  /** Time of the first message, ns since the epoch. Times below are nanoseconds after it: exact for 104 days. */
  readonly origin = signal(0n);
  readonly extent = signal<Window>({ from: 0, to: 1e9 });
  readonly window = signal<Window>({ from: 0, to: 1e9 });
  readonly cursor = signal(0);
  /** Where the pointer is on a time axis. */
  readonly hover = signal<number | null>(null);
  readonly playing = signal(false);
  readonly speed = signal(1);
  readonly loop = signal(false);
  /** The window and the cursor move with the end of a recording in progress. */
  readonly follow = signal(false);
  readonly panels = signal<Panel[]>([]);
  /** Width of the lanes. */
  readonly lanePx = signal(0);
  readonly density = signal<DensityColumns | null>(null);
  readonly recording = computed(() => this.detail.value?.state === "recording");

  #automatic = true;
  #route: SequenceRoute;
  readonly #end = new AbortController();
  readonly #densityRequest = new Latest();
  readonly #loadDensity = throttle(DENSITY_MS, () => void this.#fetchDensity());

  constructor(route: SequenceRoute) {
    this.#route = route;
    this.name = route.name;
  }

  start(): void {
    void this.#poll();
  }

  stop(): void {
    this.#end.abort();
    this.#densityRequest.cancel();
    this.#loadDensity.cancel();
  }

  /** Time of a position, ns since the epoch. */
  timeAt(offset: number): bigint {
    return this.origin.value + BigInt(Math.round(offset));
  }

  seek(offset: number): void {
    batch(() => {
      const { from, to } = this.extent.value;
      this.cursor.value = Math.round(Math.min(Math.max(offset, from), to));
      if (offset < to) this.follow.value = false;
      this.#show(reveal(this.window.value, this.cursor.value, this.extent.value));
    });
  }

  show(window: Window): void {
    this.follow.value = false;
    this.#show(inside(window, this.extent.value));
  }

  showAll(): void {
    this.show(this.extent.value);
  }

  setFollow(on: boolean): void {
    this.follow.value = on;
    if (on) this.#toEnd();
  }

  setLanePx(px: number): void {
    if (px === this.lanePx.value) return;
    this.lanePx.value = px;
    this.#loadDensity();
  }

  /** Shows these panels; from now on the link contains them. */
  setPanels(panels: Panel[]): void {
    this.#automatic = false;
    this.panels.value = panels;
  }

  choosePanels(): void {
    this.#automatic = true;
    if (this.detail.value) this.panels.value = choosePanels(this.detail.value);
  }

  /** What restores this view. */
  route(): SequenceRoute {
    const { from, to } = this.window.value;
    const all = contains(this.window.value, this.extent.value);
    return {
      view: "sequence",
      name: this.name,
      time: this.cursor.value === 0 ? null : this.timeAt(this.cursor.value),
      window: all || this.follow.value ? null : { from: this.timeAt(from), to: this.timeAt(to) },
      panels: this.#automatic ? null : this.panels.value.map(printPanel),
      follow: this.follow.value,
    };
  }

  /** Takes up a link or a step in the history. */
  restore(route: SequenceRoute): void {
    batch(() => {
      this.#route = route;
      const { origin, extent } = this;
      const window = route.window;
      if (window) {
        const wanted = { from: Number(window.from - origin.value), to: Number(window.to - origin.value) };
        this.#show(inside(wanted, extent.value));
      } else this.#show(extent.value);
      if (route.time !== null) {
        const { from, to } = extent.value;
        this.cursor.value = Math.min(Math.max(Number(route.time - origin.value), from), to);
      }
      if (route.panels) this.setPanels(route.panels.map(parsePanel).filter((panel) => panel !== null));
      else this.choosePanels();
      if (route.follow && this.recording.value) {
        this.#show({ from: Math.max(0, extent.value.to - FOLLOWED_NS), to: extent.value.to });
        this.setFollow(true);
      }
    });
  }

  #show(window: Window): void {
    if (window === this.window.value) return;
    this.window.value = window;
    this.#loadDensity();
  }

  async #poll(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      let interval = POLL_MS;
      try {
        this.#update(await sequence(this.name, signal));
        if (!this.recording.value) return;
      } catch (error) {
        if (isAbort(error)) return;
        this.error.value = messageOf(error);
        interval = RETRY_MS;
        if (this.detail.value === null || (error instanceof ApiError && error.isFinal)) return;
      }
      await pause(interval, signal);
    }
  }

  #update(detail: SequenceDetail): void {
    batch(() => {
      const known = this.detail.value;
      this.error.value = null;
      this.detail.value = detail;
      if (!detail.time_range) return;
      if (!known?.time_range) this.origin.value = ns(detail.time_range.min_ns);
      const to = Number(ns(detail.time_range.max_ns) - this.origin.value) + 1;
      const all = contains(this.window.value, this.extent.value);
      if (to !== this.extent.value.to) this.extent.value = { from: 0, to };
      if (!known?.time_range) this.restore(this.#route);
      else if (this.follow.value) this.#toEnd();
      else if (all) this.#show(this.extent.value);
      // A topic of a recording in progress gets its panel with its first rows.
      if (this.#automatic && filled(detail) !== filled(known)) this.choosePanels();
    });
  }

  #toEnd(): void {
    const { to } = this.extent.value;
    const length = Math.min(lengthOf(this.window.value), to);
    this.cursor.value = to;
    this.#show({ from: to - length, to });
  }

  async #fetchDensity(): Promise<void> {
    const window = this.window.value;
    if (this.lanePx.value === 0 || !this.detail.value?.time_range) return;
    try {
      const from = this.timeAt(window.from);
      const answer = await this.#densityRequest.run((signal) =>
        density(this.name, from, this.timeAt(window.to), this.lanePx.value, signal),
      );
      if (answer) this.density.value = { window, topics: new Map(Object.entries(answer.topics)) };
    } catch (error) {
      this.error.value = messageOf(error);
    }
  }
}

/** Number of the topics with rows. */
function filled(detail: SequenceDetail | null): number {
  return detail?.topics.filter(({ rows }) => rows !== 0).length ?? 0;
}
