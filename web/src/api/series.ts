/** Series of a topic as columns of numbers, with times relative to an origin. */

import { tableFromIPC } from "@uwdata/flechette";
import type { Ns } from "./types.ts";

/** Values of one field, per non-empty pixel column. */
export interface FieldColumns {
  min: Float64Array;
  max: Float64Array;
  first: Float64Array;
  last: Float64Array;
}

/** Non-empty pixel columns in time order. Times are nanoseconds after the origin: exact for 104 days. */
export interface SeriesColumns {
  first: Float64Array;
  last: Float64Array;
  count: Float64Array;
  fields: Map<string, FieldColumns>;
}

/** Decodes an Arrow stream of the route `series`. */
export function decodeSeries(bytes: Uint8Array, fields: string[], origin: Ns): SeriesColumns {
  const table = tableFromIPC(bytes, { useBigInt: true });
  const column = (name: string): ArrayLike<unknown> & Iterable<unknown> => {
    const found = table.getChild(name);
    if (!found) throw new Error(`the answer has no column ${name}`);
    return found.toArray() as ArrayLike<unknown> & Iterable<unknown>;
  };
  const times = (name: string) => Float64Array.from(column(name), (value) => Number((value as bigint) - origin));
  const values = (name: string) => Float64Array.from(column(name), (v) => (v === null ? Number.NaN : Number(v)));
  const columns = new Map<string, FieldColumns>();
  for (const field of fields) {
    columns.set(field, {
      min: values(`${field}.min`),
      max: values(`${field}.max`),
      first: values(`${field}.first`),
      last: values(`${field}.last`),
    });
  }
  return { first: times("first_ns"), last: times("last_ns"), count: values("count"), fields: columns };
}

/** Index of the last column that begins at or before `time`; -1 if none does. */
export function columnAt(first: ArrayLike<number>, time: number): number {
  let low = 0;
  let high = first.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (first[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
