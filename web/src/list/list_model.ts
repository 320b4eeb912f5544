/** The sequences on the list: pages as far as the user scrolls, renewed when the store changes. */

import { signal } from "@preact/signals";
import { info, sequence } from "../api/client.ts";
import { followEvents } from "../api/events.ts";
import { messageOf } from "../api/http.ts";
import { printJson } from "../api/json.ts";
import { ns, type SequenceSummary } from "../api/types.ts";
import { Latest, throttle } from "../lib/latest.ts";
import type { ListRoute } from "../lib/route.ts";
import { emptyVocabulary, isCondition, learnDetail, learnSummaries } from "../query/complete.ts";
import { parseCondition } from "../query/parse.ts";
import { type ListQuery, loadPage, type Page } from "./pages.ts";

const PAGE = 500;
const RENEW_MS = 700;
const RENEW_CONDITION_MS = 5000;
const RECORDING_MS = 2000;
/** Beyond this, renewing everything would cost too much; the first rows are what changes. */
const RENEWED_AT_MOST = 1000;
const DETAILS_FOR_COMPLETION = 6;

export class ListModel {
  readonly rows = signal<SequenceSummary[]>([]);
  /** All rows; null: there are more than are loaded. */
  readonly total = signal<number | null>(0);
  readonly loading = signal(true);
  readonly error = signal<string | null>(null);
  /** Whether changes arrive by themselves. */
  readonly live = signal(false);
  /** Store that the daemon serves. */
  readonly store = signal("");
  /** Nanoseconds by which the clock of the daemon is ahead of ours. */
  readonly clockAhead = signal(0n);
  readonly vocabulary = emptyVocabulary();

  readonly #request = new Latest();
  readonly #renewal = new Latest();
  readonly #end = new AbortController();
  /** Events are about chunks; rows of a recording in progress arrive in between. */
  readonly #watch = setInterval(() => {
    if (this.rows.value.some((row) => row.state === "recording")) this.#renewSoon();
  }, RECORDING_MS);
  readonly #renewOften = throttle(RENEW_MS, () => void this.#renew());
  readonly #renewSeldom = throttle(RENEW_CONDITION_MS, () => void this.#renew());
  #query: ListQuery | null = null;
  #cursor: string | null = null;
  #learned = false;

  start(): void {
    void followEvents(
      () => this.#renewSoon(),
      (connected) => {
        this.live.value = connected;
        if (connected) this.#renewSoon(); // what happened while there was no connection
      },
      this.#end.signal,
    );
    void info(this.#end.signal).then(
      (answer) => {
        this.store.value = answer.store ?? "";
        this.clockAhead.value = ns(answer.now_ns) - BigInt(Date.now()) * 1_000_000n;
      },
      () => {}, // the list reports why the daemon does not answer
    );
  }

  stop(): void {
    clearInterval(this.#watch);
    this.#end.abort();
    this.#request.cancel();
    this.#renewal.cancel();
    this.#renewOften.cancel();
    this.#renewSeldom.cancel();
  }

  now(): bigint {
    return BigInt(Date.now()) * 1_000_000n + this.clockAhead.value;
  }

  /** Loads the first page of what the route describes. */
  async show(route: ListRoute): Promise<void> {
    const query = this.#read(route);
    if (!query) return;
    this.#query = query;
    this.#renewal.cancel();
    this.loading.value = true;
    await this.#load(null, []);
  }

  /** Loads the next page, if there is one. */
  async more(): Promise<void> {
    if (this.loading.value || this.#cursor === null) return;
    this.loading.value = true;
    await this.#load(this.#cursor, this.rows.value);
  }

  /** Learns tags and fields for the completion, once. */
  async learn(): Promise<void> {
    if (this.#learned) return;
    this.#learned = true;
    for (const { name } of this.rows.value.slice(0, DETAILS_FOR_COMPLETION)) {
      try {
        learnDetail(this.vocabulary, await sequence(name, this.#end.signal));
      } catch {
        return; // completion knows less; the list works
      }
    }
  }

  /** Conditions on values may cost the daemon a scan. */
  #renewSoon(): void {
    if (this.#query?.where) this.#renewSeldom();
    else this.#renewOften();
  }

  #read(route: ListRoute): ListQuery | null {
    const { states, sort, order } = route;
    const find = route.find.trim();
    if (!isCondition(find)) return { search: find, where: null, states, sort, order };
    try {
      return { search: "", where: printJson(parseCondition(find)), states, sort, order };
    } catch (error) {
      this.error.value = messageOf(error);
      return null;
    }
  }

  async #load(cursor: string | null, known: SequenceSummary[]): Promise<void> {
    try {
      const page = await this.#request.run((signal) => loadPage(this.#query!, cursor, PAGE, signal));
      if (!page) return;
      this.#show(page, [...known, ...page.rows]);
      learnSummaries(this.vocabulary, page.rows);
    } catch (error) {
      this.error.value = messageOf(error);
    }
    this.loading.value = false;
  }

  #show(page: Page, rows: SequenceSummary[]): void {
    this.rows.value = rows;
    this.total.value = page.cursor === null ? rows.length : page.total;
    this.#cursor = page.cursor;
    this.error.value = null;
  }

  /** Loads the rows that are shown once more; nothing moves while it does. */
  async #renew(): Promise<void> {
    const known = this.rows.value;
    if (!this.#query || this.loading.value) return;
    const wanted = Math.min(Math.max(known.length, PAGE), RENEWED_AT_MOST);
    try {
      const page = await this.#renewal.run((signal) => loadPage(this.#query!, null, wanted, signal));
      if (!page || this.loading.value) return;
      if (page.cursor === null || page.rows.length >= known.length) {
        this.#show(page, page.rows);
        return;
      }
      // Rows further down keep their place; the next page still begins behind them.
      const names = new Set(page.rows.map((row) => row.name));
      this.rows.value = [
        ...page.rows,
        ...known.filter((row) => !names.has(row.name)).slice(0, known.length - names.size),
      ];
      this.total.value = page.total;
      this.error.value = null;
    } catch (error) {
      this.error.value = messageOf(error);
    }
  }
}
