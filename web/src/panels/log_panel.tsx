/** Texts as a table that follows the cursor. */

import { effect, useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { messages } from "../api/client.ts";
import { messageOf } from "../api/http.ts";
import { type Json, type MessageJson, ns } from "../api/types.ts";
import { formatOffset, plural } from "../lib/format.ts";
import { Latest, throttle } from "../lib/latest.ts";
import { levelField, textField } from "../lib/roles.ts";
import type { PanelProps } from "./panel_frame.tsx";

interface Line {
  time: number;
  level: string;
  text: string;
  rest: string;
}

const MOST = 1000;
const SOON_MS = 150;
const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"];

export function LogPanel({ model, panel, topicOf }: PanelProps) {
  const topic = topicOf(panel.sources[0]!.topic)!;
  const lines = useSignal<Line[]>([]);
  const more = useSignal(false);
  const error = useSignal<string | null>(null);
  const filter = useSignal("");
  const list = useRef<HTMLDivElement>(null);
  const text = textField(topic);
  const level = levelField(topic);

  useEffect(() => {
    const request = new Latest();
    const load = throttle(SOON_MS, async () => {
      const { from, to } = model.window.peek();
      const window = { from: model.timeAt(from), to: model.timeAt(to), limit: MOST };
      try {
        const page = await request.run((signal) => messages(model.name, topic.name, window, signal));
        if (!page) return;
        lines.value = page.messages.map((message) => lineOf(message, model.origin.peek(), text, level));
        more.value = page.next_ns !== null;
        error.value = null;
      } catch (failure) {
        error.value = messageOf(failure);
      }
    });
    const stop = effect(() => {
      if (model.window.value.to > 0 && model.detail.value?.time_range) load();
    });
    return () => {
      stop();
      load.cancel();
      request.cancel();
    };
  }, [model, topic.name]);

  const wanted = filter.value.toLowerCase();
  const shown = lines.value.filter((line) => `${line.level} ${line.text} ${line.rest}`.toLowerCase().includes(wanted));
  const current = useComputed(() => lines.value.findLast((line) => line.time <= model.cursor.value)?.time ?? null);
  useEffect(() => {
    const row = list.current?.querySelector<HTMLElement>("[aria-current=true]");
    if (!row || !list.current) return;
    const { offsetTop, offsetHeight } = row;
    const { scrollTop, clientHeight } = list.current;
    if (offsetTop < scrollTop || offsetTop + offsetHeight > scrollTop + clientHeight) {
      list.current.scrollTop = offsetTop - clientHeight / 2;
    }
  }, [current.value, lines.value]);

  return (
    <div class="log-panel">
      <input
        type="search"
        aria-label="Filter the log"
        placeholder={`${plural(lines.value.length, "line")}${more.value ? ", the first of the window; zoom in for the rest" : ""}`}
        onInput={(event) => {
          filter.value = event.currentTarget.value;
        }}
      />
      {error.value && <p class="panel-problem">{error.value}</p>}
      <div class="log-list" ref={list} role="group" aria-label={`Log ${topic.name}`} tabIndex={0}>
        {shown.map((line, index) => (
          <button
            type="button"
            class={`log-line ${LEVELS.find((name) => line.level.toLowerCase().startsWith(name)) ?? ""}`}
            key={`${line.time} ${index}`}
            aria-current={line.time === current.value}
            onClick={() => model.seek(line.time)}
          >
            <time>{formatOffset(line.time)}</time>
            {level && <b>{line.level}</b>}
            <span>{line.text}</span>
            <span class="detail">{line.rest}</span>
          </button>
        ))}
      </div>
    </div>
  );
}

function lineOf(message: MessageJson, origin: bigint, text: string | null, level: string | null): Line {
  const { data } = message;
  const shown = [text, level, "header"];
  const rest = Object.entries(data).filter(
    ([key, value]) => !shown.includes(key) && value !== null && typeof value !== "object",
  );
  return {
    time: Number(ns(message.timestamp_ns) - origin),
    level: level ? levelName(data[level] ?? null) : "",
    text: text ? String(data[text] ?? "") : "",
    rest: rest.map(([key, value]) => `${key}=${value}`).join("  "),
  };
}

/** Codes of ROS `rcl_interfaces/Log` in words. */
function levelName(level: Json): string {
  const names: Record<string, string> = { 10: "DEBUG", 20: "INFO", 30: "WARN", 40: "ERROR", 50: "FATAL" };
  return names[String(level)] ?? String(level ?? "");
}
