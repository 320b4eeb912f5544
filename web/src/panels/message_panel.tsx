/** The message at the cursor, completely. */

import { effect, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { messages } from "../api/client.ts";
import { messageOf } from "../api/http.ts";
import { type Json, type MessageJson, ns } from "../api/types.ts";
import { formatBytes, formatClock, formatNumber, formatOffset } from "../lib/format.ts";
import { Latest, throttle } from "../lib/latest.ts";
import type { PanelProps } from "./panel_frame.tsx";

const SOON_MS = 60;
const MOST_ITEMS = 200;

export function MessagePanel({ model, panel }: PanelProps) {
  const topic = panel.sources[0]!.topic;
  const message = useSignal<MessageJson | null>(null);
  const error = useSignal<string | null>(null);
  useEffect(() => {
    const request = new Latest();
    const load = throttle(SOON_MS, async () => {
      try {
        const at = model.timeAt(model.cursor.peek());
        const page = await request.run((signal) => messages(model.name, topic, { at }, signal));
        if (!page) return;
        message.value = page.messages[0] ?? null;
        error.value = null;
      } catch (failure) {
        error.value = messageOf(failure);
      }
    });
    const stop = effect(() => {
      if (model.cursor.value >= 0 && model.detail.value?.time_range) load();
    });
    return () => {
      stop();
      load.cancel();
      request.cancel();
    };
  }, [model, topic]);
  if (error.value) return <p class="panel-problem">{error.value}</p>;
  if (!message.value) return <p class="panel-note">No message at or before the cursor.</p>;
  const time = ns(message.value.timestamp_ns);
  return (
    <div class="message" tabIndex={0} role="region" aria-label={`Message of ${topic}`}>
      <p class="message-time">
        {formatOffset(Number(time - model.origin.value), 1)} <span class="detail">{formatClock(time, 9)}</span>
      </p>
      <Fields value={message.value.data} />
    </div>
  );
}

function Fields({ value }: { value: { [key: string]: Json } }) {
  return (
    <ul class="tree">
      {Object.entries(value).map(([key, item]) => (
        <Entry key={key} name={key} value={item} />
      ))}
    </ul>
  );
}

function Entry({ name, value }: { name: string; value: Json }) {
  if (value === null || typeof value !== "object") {
    return (
      <li>
        <span class="key">{name}</span> <Leaf value={value} />
      </li>
    );
  }
  const binary = binaryBytes(value);
  if (binary !== null) {
    return (
      <li>
        <span class="key">{name}</span> <span class="detail">{formatBytes(binary)} of bytes</span>
      </li>
    );
  }
  const entries = Array.isArray(value)
    ? [...value.entries()].map(([i, item]) => [String(i), item] as const)
    : Object.entries(value);
  const count = Array.isArray(value) ? `${value.length} items` : "";
  return (
    <li>
      <details open={!Array.isArray(value)}>
        <summary>
          <span class="key">{name}</span> <span class="detail">{count}</span>
        </summary>
        <ul class="tree">
          {entries.slice(0, MOST_ITEMS).map(([key, item]) => (
            <Entry key={key} name={key} value={item} />
          ))}
          {entries.length > MOST_ITEMS && <li class="detail">{entries.length - MOST_ITEMS} more</li>}
        </ul>
      </details>
    </li>
  );
}

function Leaf({ value }: { value: null | boolean | number | bigint | string }) {
  if (typeof value === "number") return <span class="value number">{formatNumber(value)}</span>;
  if (typeof value === "string") return <span class="value text">{value}</span>;
  return <span class="value">{String(value)}</span>;
}

/** Binary fields arrive as `{"bytes": n}`. */
function binaryBytes(value: Json[] | { [key: string]: Json }): number | null {
  if (Array.isArray(value) || Object.keys(value).length !== 1) return null;
  return typeof value["bytes"] === "number" ? value["bytes"] : null;
}
