/** The routes of the daemon. */

import { call, callJson } from "./http.ts";
import type { Density, Info, MessagePage, Ns, SequenceDetail, SequencePage } from "./types.ts";

export type SortKey = "name" | "created" | "start" | "duration" | "bytes";
export type Order = "asc" | "desc";

export interface ListRequest {
  search: string;
  /** JSON of a query, see docs/queries.md. */
  where: string | null;
  sort: SortKey;
  order: Order;
  limit: number;
  cursor: string | null;
}

export function info(signal?: AbortSignal): Promise<Info> {
  return callJson("info", { signal });
}

export function sequences(request: ListRequest, signal?: AbortSignal): Promise<SequencePage> {
  return callJson("sequences", { parameters: { ...request }, signal });
}

export function sequence(name: string, signal?: AbortSignal): Promise<SequenceDetail> {
  return callJson(sequencePath(name), { signal });
}

/** Rows per pixel column of [from, to), of each topic. */
export function density(name: string, from: Ns, to: Ns, px: number, signal?: AbortSignal): Promise<Density> {
  return callJson(`${sequencePath(name)}/density`, { parameters: { from, to, px }, signal });
}

/** Messages of a window, or the last one that is not after a time. */
export type MessageRequest = ({ from?: Ns; to?: Ns; limit?: number } | { at: Ns }) & {
  /** Dotted paths; all fields if absent. */
  columns?: string[];
};

export function messages(name: string, topic: string, request: MessageRequest, signal?: AbortSignal) {
  return callJson<MessagePage>(`${topicPath(name, topic)}/messages`, { parameters: parametersOf(request), signal });
}

export const ARROW = "application/vnd.apache.arrow.stream";

export async function messagesArrow(name: string, topic: string, request: MessageRequest, signal?: AbortSignal) {
  const path = `${topicPath(name, topic)}/messages`;
  const response = await call(path, { parameters: parametersOf(request), accept: ARROW, signal });
  return new Uint8Array(await response.arrayBuffer());
}

/** Min, max, first and last of up to 8 fields per pixel column, as an Arrow stream. */
export async function series(
  name: string,
  topic: string,
  fields: string[],
  window: { from: Ns; to: Ns; px: number },
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const parameters = { fields: fields.join(","), ...window };
  const response = await call(`${topicPath(name, topic)}/series`, { parameters, accept: ARROW, signal });
  return new Uint8Array(await response.arrayBuffer());
}

export interface Frame {
  timestamp: Ns;
  /** Time of the frame after it; null if it is the last one. */
  next: Ns | null;
  blob: Blob;
}

export async function frame(name: string, topic: string, at: Ns, width: number, signal?: AbortSignal): Promise<Frame> {
  const parameters = { at, width };
  const response = await call(`${topicPath(name, topic)}/frame`, { parameters, accept: "image/*", signal });
  const next = response.headers.get("x-next-ns");
  return {
    timestamp: BigInt(response.headers.get("x-timestamp-ns") ?? at),
    next: next ? BigInt(next) : null,
    blob: await response.blob(),
  };
}

export function sequencePath(name: string): string {
  return `sequences/${encodeURIComponent(name)}`;
}

export function topicPath(name: string, topic: string): string {
  return `${sequencePath(name)}/topics/${encodeURIComponent(topic)}`;
}

function parametersOf(request: MessageRequest) {
  const { columns, ...rest } = request;
  return { ...rest, columns: columns?.join(",") };
}
