/** All sequences. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { SortKey } from "../api/client.ts";
import type { SequenceState } from "../api/types.ts";
import { plural } from "../lib/format.ts";
import { go, type ListRoute, note, route } from "../lib/route.ts";
import { withTag } from "../query/complete.ts";
import { AppHeader } from "../ui/header.tsx";
import { Icon } from "../ui/icons.tsx";
import { FindBox } from "./find_box.tsx";
import { ListModel } from "./list_model.ts";
import { ROW_HEIGHT, SequenceRow } from "./sequence_row.tsx";

const STATES: SequenceState[] = ["recording", "interrupted", "finalized"];
const COLUMNS: { key: SortKey | null; label: string; column: string }[] = [
  { key: "name", label: "Name", column: "name" },
  { key: null, label: "Data", column: "spark" },
  { key: "start", label: "Start", column: "start" },
  { key: "duration", label: "Duration", column: "duration" },
  { key: null, label: "Topics", column: "topics" },
  { key: null, label: "Rows", column: "rows" },
  { key: "bytes", label: "Size", column: "bytes" },
  { key: "created", label: "Recorded", column: "created" },
];
const MARGIN_ROWS = 8;

export function ListView({ shown }: { shown: ListRoute }) {
  const model = useRef<ListModel | null>(null);
  model.current ??= new ListModel();
  const list = model.current;
  useEffect(() => {
    list.start();
    document.title = "Recordings – mosaico";
    return () => list.stop();
  }, []);
  useEffect(() => void list.show(shown), [shown]);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== "/" || (event.target as HTMLElement).closest("input, dialog")) return;
      event.preventDefault();
      document.getElementById("find")?.focus();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  const change = (part: Partial<ListRoute>) => {
    const next = { ...shown, ...part };
    route.value = next;
    note(next);
  };
  return (
    <div class="list-view">
      <AppHeader store={list.store.value}>
        <FindBox
          text={shown.find}
          vocabulary={list.vocabulary}
          onFind={(find) => change({ find })}
          onFocus={() => void list.learn()}
        />
      </AppHeader>
      <main>
        <h1 class="visually-hidden">Recordings</h1>
        <div class="list-tools">
          <div class="chips" role="group" aria-label="States">
            {STATES.map((state) => (
              <button
                type="button"
                key={state}
                class={`chip state ${state}`}
                aria-pressed={shown.states.includes(state)}
                onClick={() => change({ states: toggled(shown.states, state) })}
              >
                {state}
              </button>
            ))}
          </div>
          <p class="count" role="status">
            {list.error.value === null &&
              (list.loading.value && list.rows.value.length === 0
                ? "Loading …"
                : counted(list.total.value, list.rows.value.length))}
            <span
              class={list.live.value ? "live on" : "live"}
              title={list.live.value ? "Changes appear by themselves" : "No connection to the event stream"}
            >
              {list.live.value ? "live" : "not live"}
            </span>
          </p>
        </div>
        {list.error.value !== null && (
          <div class="problem" role="alert">
            {list.error.value}
            <button type="button" class="button" onClick={() => void list.show(shown)}>
              Try again
            </button>
          </div>
        )}
        <Table list={list} shown={shown} change={change} />
      </main>
    </div>
  );
}

interface TableProps {
  list: ListModel;
  shown: ListRoute;
  change: (part: Partial<ListRoute>) => void;
}

function Table({ list, shown, change }: TableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(800);
  const active = useSignal(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      height.value = entry!.contentRect.height;
    });
    observer.observe(scroller.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    scroller.current!.scrollTop = 0;
    active.value = 0;
  }, [shown]);
  const first = useComputed(() => Math.max(0, Math.floor(top.value / ROW_HEIGHT) - MARGIN_ROWS));
  const end = useComputed(() => Math.ceil((top.value + height.value) / ROW_HEIGHT) + MARGIN_ROWS);
  const rows = list.rows.value;
  useEffect(() => {
    if (end.value > rows.length - 100) void list.more();
  }, [end.value, rows.length]);

  const move = (to: number) => {
    active.value = Math.max(0, Math.min(rows.length - 1, to));
    const at = active.value * ROW_HEIGHT;
    const box = scroller.current!;
    const visible = box.clientHeight - 34; // below the head of the table
    if (at < box.scrollTop) box.scrollTop = at;
    else if (at + ROW_HEIGHT > box.scrollTop + visible) box.scrollTop = at + ROW_HEIGHT - visible;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(height.value / ROW_HEIGHT) - 2);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const step = steps[event.key];
    if (step !== undefined) move(active.value + step);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(rows.length - 1);
    else if (event.key === "Enter" && rows[active.value]) open(rows[active.value]!.name);
    else return;
    event.preventDefault();
  };
  const sortBy = (key: SortKey) => {
    const order = shown.sort === key ? (shown.order === "asc" ? "desc" : "asc") : key === "name" ? "asc" : "desc";
    change({ sort: key, order });
  };
  const now = list.now();
  return (
    <div
      class="table"
      ref={scroller}
      role="grid"
      aria-label="Sequences"
      aria-rowcount={list.total.value === null ? -1 : list.total.value + 1}
      aria-activedescendant={rows.length > 0 ? `row-${active.value}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onScroll={() => {
        top.value = scroller.current!.scrollTop;
      }}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        {COLUMNS.map(({ key, label, column }) => (
          <div key={column} class={`cell ${column}`} role="columnheader" aria-sort={sortOf(key, shown)}>
            {key === null ? (
              label
            ) : (
              <button type="button" onClick={() => sortBy(key)}>
                {label}
                <span class="arrow">{shown.sort === key ? (shown.order === "asc" ? "↑" : "↓") : ""}</span>
              </button>
            )}
          </div>
        ))}
      </div>
      <div class="rows" style={{ height: `${Math.max(rows.length, 1) * ROW_HEIGHT}px` }} role="rowgroup">
        {rows.slice(first.value, end.value).map((row, index) => (
          <SequenceRow
            key={row.name}
            row={row}
            index={first.value + index}
            active={first.value + index === active.value}
            now={now}
            onTag={(key, value) => change({ find: withTag(shown.find, key, value) })}
            onSelect={() => {
              active.value = first.value + index;
            }}
          />
        ))}
        {rows.length === 0 && !list.loading.value && list.error.value === null && (
          <Nothing filtered={isFiltered(shown)} />
        )}
      </div>
    </div>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  return (
    <div class="nothing">
      <Icon name="search" />
      {filtered ? (
        <p>No sequence matches. Clear the search or the states to see all.</p>
      ) : (
        <p>
          The store is empty. Record into it, or import: <code>mosaico ingest FILE</code>. New sequences appear here.
        </p>
      )}
    </div>
  );
}

function open(name: string): void {
  go({ view: "sequence", name, time: null, window: null, panels: null, follow: false });
}

function isFiltered(shown: ListRoute): boolean {
  return shown.find !== "" || shown.states.length > 0;
}

function toggled<T>(list: T[], item: T): T[] {
  return list.includes(item) ? list.filter((other) => other !== item) : [...list, item];
}

function counted(total: number | null, loaded: number): string {
  const count = plural(total ?? loaded, "sequence");
  return total === null ? `more than ${count}` : count;
}

function sortOf(key: SortKey | null, shown: ListRoute) {
  if (key === null) return undefined;
  return shown.sort === key ? (shown.order === "asc" ? "ascending" : "descending") : "none";
}
