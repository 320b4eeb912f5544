/** One way to call the daemon: credentials, errors as objects, cancellation. */

import { signal } from "@preact/signals";
import { parseJson } from "./json.ts";

const KEY = "mosaico.key";
/** The status of a limit; the daemon says when to try again. */
const BUSY = 429;
const ATTEMPTS = 4;
const LONGEST_PAUSE_S = 5;

/** Whether the daemon refused the credentials; the page then asks for an API key. */
export const refused = signal(false);

/** An answer with an error, as docs/http.md describes it. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;

  constructor(status: number, code: string, message: string, requestId: string | null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }

  /** Whether the same call fails again: its caller has to change something. */
  get isFinal(): boolean {
    return this.status >= 400 && this.status < 500 && this.status !== BUSY;
  }
}

export type Parameters = Record<string, string | number | bigint | null | undefined>;

export interface CallOptions {
  parameters?: Parameters;
  accept?: string;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
}

export function setKey(key: string | null): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
  refused.value = false;
}

export function hasKey(): boolean {
  return sessionStorage.getItem(KEY) !== null;
}

/** The signed link with which the page was opened, if it was. */
export function link(): string | null {
  return new URLSearchParams(location.search).get("link");
}

/** The address of a route, or of a sequence as an MCAP file, relative to the page: a proxy may serve it below a prefix. */
export function address(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const signed = link();
  if (signed) query.set("link", signed);
  const text = query.toString();
  return `${path.endsWith(".mcap") ? "." : "./api/v1"}/${path}${text ? `?${text}` : ""}`;
}

/**
 * Calls a route.
 *
 * @throws ApiError the daemon refused or failed; code `unreachable` without an answer
 * @throws DOMException named `AbortError` after `signal`
 */
export async function call(path: string, options: CallOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: options.accept ?? "application/json", ...options.headers };
  const key = sessionStorage.getItem(KEY);
  if (key) headers["authorization"] = `Bearer ${key}`;
  const init: RequestInit = { headers, signal: options.signal ?? null, credentials: "omit" };
  let response = await send(address(path, options.parameters), init);
  for (let attempt = 1; response.status === BUSY && attempt < ATTEMPTS; attempt += 1) {
    const seconds = Math.min(Number(response.headers.get("retry-after")) || 1, LONGEST_PAUSE_S);
    await pause(seconds * 1000, options.signal);
    response = await send(address(path, options.parameters), init);
  }
  if (response.ok) return response;
  if (response.status === 403) refused.value = true;
  throw await errorOf(response);
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, "unreachable", "the daemon does not answer; it may have stopped", null);
  }
}

/** Waits; ends early after `signal`. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

export async function callJson<T>(path: string, options: CallOptions = {}): Promise<T> {
  const response = await call(path, options);
  return parseJson(await response.text()) as T;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** What to show of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id");
  try {
    const body = parseJson(await response.text()) as { error: { code: string; message: string } };
    return new ApiError(response.status, body.error.code, body.error.message, requestId);
  } catch {
    return new ApiError(response.status, "unknown", `the daemon answered with status ${response.status}`, requestId);
  }
}
