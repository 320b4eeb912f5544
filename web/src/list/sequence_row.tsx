/** One sequence on the list. */

import { type Json, ns, type SequenceSummary } from "../api/types.ts";
import { formatAgo, formatBytes, formatCount, formatDuration, formatTime } from "../lib/format.ts";
import { printRoute } from "../lib/route.ts";
import { Sparkline } from "./sparkline.tsx";

export const ROW_HEIGHT = 44;
const MOST_TAGS = 4;

interface SequenceRowProps {
  row: SequenceSummary;
  index: number;
  active: boolean;
  now: bigint;
  onSelect: () => void;
  onTag: (key: string, value: Json) => void;
}

export function SequenceRow({ row, index, active, now, onSelect, onTag }: SequenceRowProps) {
  const range = row.time_range;
  const link = printRoute({
    view: "sequence",
    name: row.name,
    time: null,
    window: null,
    panels: null,
    follow: row.state === "recording",
  });
  const tags = Object.entries(row.user_metadata).filter(([, value]) => value === null || typeof value !== "object");
  return (
    <div
      id={`row-${index}`}
      class={`row ${active ? "active" : ""}`}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={active}
      style={{ transform: `translateY(${index * ROW_HEIGHT}px)` }}
      onMouseDown={onSelect}
    >
      <div class="cell name" role="gridcell">
        <span class={`dot ${row.state}`} title={row.state} />
        <a class="title" href={link} tabIndex={-1} title={row.name}>
          {row.name}
        </a>
        {row.state !== "finalized" && <span class={`badge ${row.state}`}>{row.state}</span>}
        <span class="tags">
          {tags.slice(0, MOST_TAGS).map(([key, value]) => (
            <button
              type="button"
              class="tag"
              key={key}
              tabIndex={-1} // the search field offers the same to the keyboard
              title={`Only sequences with ${key} ${value}`}
              onClick={() => onTag(key, value)}
            >
              <i>{key}</i> {String(value)}
            </button>
          ))}
        </span>
      </div>
      <div class="cell spark" role="gridcell">
        <Sparkline row={row} />
      </div>
      <div class="cell start" role="gridcell">
        {range ? formatTime(ns(range.min_ns)).slice(0, 16) : "–"}
      </div>
      <div class="cell duration" role="gridcell">
        {range ? formatDuration(Number(ns(range.max_ns) - ns(range.min_ns))) : "–"}
      </div>
      <div class="cell topics" role="gridcell">
        {row.topics}
      </div>
      <div class="cell rows" role="gridcell">
        {formatCount(row.rows)}
      </div>
      <div class="cell bytes" role="gridcell">
        {formatBytes(row.bytes)}
      </div>
      <div class="cell created" role="gridcell" title={formatTime(ns(row.created_ns))}>
        {formatAgo(ns(row.created_ns), now)}
      </div>
    </div>
  );
}
