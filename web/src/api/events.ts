/** The event stream. `EventSource` cannot send an API key, so the stream is read with `fetch`. */

import { ApiError, call, isAbort, pause } from "./http.ts";
import { parseJson } from "./json.ts";
import type { Json, ServerEvent } from "./types.ts";

const RETRY_MS = 2000;

/** Cuts a text stream into server-sent events. */
export class EventParser {
  #rest = "";

  /** The events that `text` completes. */
  push(text: string): ServerEvent[] {
    this.#rest = (this.#rest + text).replaceAll("\r\n", "\n");
    const blocks = this.#rest.split("\n\n");
    this.#rest = blocks.pop() ?? "";
    return blocks.map(parseEvent).filter((event) => event !== null);
  }
}

function parseEvent(block: string): ServerEvent | null {
  let kind = "message";
  let id = "";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue; // a comment, which keeps the connection open
    const value = line.slice(colon + 1).replace(/^ /, "");
    const name = line.slice(0, colon);
    if (name === "event") kind = value;
    else if (name === "id") id = value;
    else if (name === "data") data.push(value);
  }
  if (data.length === 0) return null;
  return { kind, id, data: parseJson(data.join("\n")) as { [key: string]: Json } };
}

/**
 * Calls `onEvent` for each new event until `signal`; connects again after an interruption, behind the last event. Ends
 * if the daemon refuses the stream.
 *
 * `onConnected` gets whether the stream is connected.
 */
export async function followEvents(
  onEvent: (event: ServerEvent) => void,
  onConnected: (connected: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  let last = "";
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = last ? { "last-event-id": last } : {};
      const response = await call("events", { accept: "text/event-stream", headers, signal });
      onConnected(true);
      const parser = new EventParser();
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        for (const event of parser.push(part.value)) {
          last = event.id || last;
          onEvent(event);
        }
      }
    } catch (error) {
      if (isAbort(error) || (error instanceof ApiError && error.isFinal)) return;
    }
    onConnected(false);
    await pause(RETRY_MS, signal);
  }
}
