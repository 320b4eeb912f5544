/** The message at the cursor, completely. */

import { effect, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { messages } from "../api/client.ts";
import { messageOf } from "../api/http.ts";
import { type MessageJson, ns } from "../api/types.ts";
import { formatClock, formatOffset } from "../lib/format.ts";
import { Latest, throttle } from "../lib/latest.ts";
import { Fields } from "./json_tree.tsx";
import type { PanelProps } from "./panel_frame.tsx";

const SOON_MS = 60;

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
