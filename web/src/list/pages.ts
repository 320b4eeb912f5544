/** Pages of the list. The daemon searches and sorts; states are selected here, over as many of its pages as it takes. */

import { type ListRequest, sequences } from "../api/client.ts";
import type { SequenceState, SequenceSummary } from "../api/types.ts";

export type ListQuery = Omit<ListRequest, "limit" | "cursor"> & { states: SequenceState[] };

export interface Page {
  rows: SequenceSummary[];
  /** All rows of the list; null: not known before the last page. */
  total: number | null;
  /** Where the next page begins; null: this was the last one. */
  cursor: string | null;
}

const MOST = 1000;

/** At least `wanted` rows from `cursor` on, unless there are fewer; at most 1000 where all states are wanted. */
export async function loadPage(
  query: ListQuery,
  cursor: string | null,
  wanted: number,
  signal: AbortSignal,
): Promise<Page> {
  const { states, ...request } = query;
  const all = states.length === 0;
  const rows: SequenceSummary[] = [];
  let next = cursor;
  for (;;) {
    const limit = all ? Math.min(wanted, MOST) : MOST;
    const answer = await sequences({ ...request, limit, cursor: next }, signal);
    rows.push(...(all ? answer.sequences : answer.sequences.filter((row) => states.includes(row.state))));
    next = answer.next_cursor;
    if (all) return { rows, total: answer.total, cursor: next };
    if (next === null || rows.length >= wanted) return { rows, total: null, cursor: next };
  }
}
