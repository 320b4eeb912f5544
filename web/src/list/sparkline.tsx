/** The mini time line of a sequence on the list: where it has rows, and where not. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { density } from "../api/client.ts";
import { ns, type SequenceSummary } from "../api/types.ts";
import { Recent } from "../lib/latest.ts";

const PX = 60;
const HEIGHT = 18;
/** The browser has six connections to the daemon; scrolling must not take them all. */
const PARALLEL = 2;

const known = new Recent<string, Promise<number[]>>(600);
const waiting: (() => Promise<void>)[] = [];
let running = 0;

function loadColumns(row: SequenceSummary, wanted: () => boolean): Promise<number[]> {
  const key = `${row.name} ${row.rows} ${row.time_range?.max_ns}`;
  const found = known.get(key);
  if (found) return found;
  const loading = inTurn(wanted, async () => {
    const { min_ns, max_ns } = row.time_range!;
    const answer = await density(row.name, ns(min_ns), ns(max_ns) + 1n, PX);
    return sumOf(Object.values(answer.topics));
  });
  known.set(key, loading);
  loading.catch(() => known.delete(key)); // the next time that the row is visible tries again
  return loading;
}

/** Does the work when its turn comes, unless its row is no longer visible then. */
function inTurn<T>(wanted: () => boolean, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    waiting.push(async () => {
      if (!wanted()) return reject(new Error("no longer visible"));
      running += 1;
      await work().then(resolve, reject);
      running -= 1;
    });
    void next();
  });
}

async function next(): Promise<void> {
  while (running < PARALLEL && waiting.length > 0) await waiting.shift()!();
}

/** Shares of the topics that have rows in each column: a silent camera counts as much as a silent IMU. */
export function sumOf(topics: number[][]): number[] {
  const used = topics.filter((counts) => counts.some((count) => count > 0));
  return Array.from({ length: PX }, (_, px) => {
    const present = used.reduce((sum, counts) => sum + Math.min(1, counts[px]! / (Math.max(...counts) || 1)), 0);
    return used.length === 0 ? 0 : present / used.length;
  });
}

export function Sparkline({ row }: { row: SequenceSummary }) {
  const columns = useSignal<number[] | null>(null);
  const empty = row.time_range === null;
  useEffect(() => {
    if (empty) return;
    let shown = true;
    // A short delay: rows that fly past are not loaded.
    const timer = setTimeout(() => {
      loadColumns(row, () => shown).then(
        (loaded) => {
          if (shown) columns.value = loaded;
        },
        () => {}, // without a mini time line, the row is complete otherwise
      );
    }, 120);
    return () => {
      shown = false;
      clearTimeout(timer);
    };
  }, [row.name, row.rows, empty]);
  return (
    <svg class="sparkline" viewBox={`0 0 ${PX} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {columns.value && <path d={pathOf(columns.value)} />}
    </svg>
  );
}

function pathOf(columns: number[]): string {
  let path = "";
  for (const [x, share] of columns.entries()) {
    if (share > 0) path += `M${x} ${HEIGHT}v${-Math.max(2, share * (HEIGHT - 1)).toFixed(1)}h1v${HEIGHT}z`;
  }
  return path;
}
