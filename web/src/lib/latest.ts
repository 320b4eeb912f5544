/** Work of which only the latest request counts. */

import { isAbort } from "../api/http.ts";

/** Runs one request at a time; a newer one cancels it. */
export class Latest {
  #controller: AbortController | null = null;

  /** The result, or null if a newer request or `cancel` made it unneeded. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    this.#controller?.abort();
    const controller = new AbortController();
    this.#controller = controller;
    try {
      const result = await work(controller.signal);
      return controller.signal.aborted ? null : result;
    } catch (error) {
      if (controller.signal.aborted || isAbort(error)) return null;
      throw error;
    }
  }

  cancel(): void {
    this.#controller?.abort();
  }
}

/** Calls the function at most once per `ms`, and once more after the last call. */
export function throttle(ms: number, action: () => void): (() => void) & { cancel: () => void } {
  let last = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const run = () => {
    timer = undefined;
    last = performance.now();
    action();
  };
  const throttled = () => {
    if (timer !== undefined) return;
    timer = setTimeout(run, Math.max(0, last + ms - performance.now()));
  };
  return Object.assign(throttled, { cancel: () => clearTimeout(timer) });
}

/** Keeps the values that were used last. */
export class Recent<K, V> {
  readonly #limit: number;
  readonly #drop: (value: V) => void;
  readonly #values = new Map<K, V>();

  constructor(limit: number, drop: (value: V) => void = () => {}) {
    this.#limit = limit;
    this.#drop = drop;
  }

  get(key: K): V | undefined {
    const value = this.#values.get(key);
    if (value !== undefined) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  set(key: K, value: V): void {
    const old = this.#values.get(key);
    if (old !== undefined && old !== value) this.#drop(old);
    this.#values.delete(key);
    this.#values.set(key, value);
    for (const [oldest, dropped] of this.#values) {
      if (this.#values.size <= this.#limit) break;
      this.#values.delete(oldest);
      this.#drop(dropped);
    }
  }

  delete(key: K): void {
    const value = this.#values.get(key);
    if (value !== undefined) this.#drop(value);
    this.#values.delete(key);
  }

  values(): IterableIterator<V> {
    return this.#values.values();
  }

  clear(): void {
    for (const value of this.#values.values()) this.#drop(value);
    this.#values.clear();
  }
}
