/** Runs of equal values. */

import type { SeriesColumns } from "../api/series.ts";

export interface Band {
  from: number;
  to: number;
  /** Null: it changes within the band, more often than pixels can show. */
  value: number | null;
}

/** A state lasts until the next row, the last one until its own time. */
export function bandsOf(columns: SeriesColumns, field: string): Band[] {
  const { min, max } = columns.fields.get(field)!;
  const bands: Band[] = [];
  for (let index = 0; index < columns.first.length; index += 1) {
    if (Number.isNaN(min[index]!)) continue;
    const value = min[index] === max[index] ? min[index]! : null;
    const from = columns.first[index]!;
    const to = columns.last[index]!;
    const previous = bands.at(-1);
    if (previous) previous.to = from;
    if (previous && previous.value === value) previous.to = to;
    else bands.push({ from, to, value });
  }
  return bands;
}
