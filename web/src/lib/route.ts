/** The fragment of the address: what is shown, so that a link restores it. */

import { signal } from "@preact/signals";
import type { Order, SortKey } from "../api/client.ts";
import type { SequenceState } from "../api/types.ts";

export interface ListRoute {
  view: "list";
  /** Text of the search field: a part of the name, or a condition. */
  find: string;
  states: SequenceState[];
  sort: SortKey;
  order: Order;
}

export interface SequenceRoute {
  view: "sequence";
  name: string;
  /** Cursor, ns since the epoch. */
  time: bigint | null;
  /** Window, ns since the epoch. */
  window: { from: bigint; to: bigint } | null;
  /** Panels in their text form; null: chosen automatically. */
  panels: string[] | null;
  follow: boolean;
}

export type Route = ListRoute | SequenceRoute;

const SORTS: readonly string[] = ["name", "created", "start", "duration", "bytes"];
const STATES: readonly string[] = ["recording", "interrupted", "finalized"];
export const LIST: ListRoute = { view: "list", find: "", states: [], sort: "created", order: "desc" };

/** Reads a fragment, with or without `#`. Parts that make no sense have their defaults. */
export function parseRoute(fragment: string): Route {
  const text = fragment.replace(/^#/, "");
  const [path = "", query = ""] = cut(text, "?");
  const parameters = new URLSearchParams(query);
  if (path.startsWith("/s/") && path.length > 3) return parseSequence(decode(path.slice(3)), parameters);
  const sort = parameters.get("sort") ?? LIST.sort;
  return {
    view: "list",
    find: parameters.get("q") ?? "",
    states: (parameters.get("state") ?? "").split(",").filter((state) => STATES.includes(state)) as SequenceState[],
    sort: (SORTS.includes(sort) ? sort : LIST.sort) as SortKey,
    order: parameters.get("order") === "asc" ? "asc" : "desc",
  };
}

function parseSequence(name: string, parameters: URLSearchParams): SequenceRoute {
  const [from, to] = (parameters.get("w") ?? "").split("~").map(integer);
  const window = from != null && to != null && from < to ? { from, to } : null;
  return {
    view: "sequence",
    name,
    time: integer(parameters.get("t") ?? ""),
    window,
    panels: parameters.has("p") ? parameters.getAll("p").filter((panel) => panel !== "") : null,
    follow: parameters.get("follow") === "1",
  };
}

/** The fragment of a route, with `#`. */
export function printRoute(route: Route): string {
  const parameters = new URLSearchParams();
  if (route.view === "list") {
    if (route.find) parameters.set("q", route.find);
    if (route.states.length > 0) parameters.set("state", route.states.join(","));
    if (route.sort !== LIST.sort) parameters.set("sort", route.sort);
    if (route.order !== LIST.order) parameters.set("order", route.order);
    return `#/${query(parameters)}`;
  }
  if (route.follow) parameters.set("follow", "1");
  else if (route.time !== null) parameters.set("t", String(route.time));
  if (route.window) parameters.set("w", `${route.window.from}~${route.window.to}`);
  if (route.panels !== null) {
    for (const panel of route.panels.length > 0 ? route.panels : [""]) parameters.append("p", panel);
  }
  return `#/s/${encodeURIComponent(route.name)}${query(parameters)}`;
}

/** What is shown now. */
export const route = signal<Route>(LIST);

/** Follows the address, and the buttons of the browser. */
export function startRouting(): void {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  read();
}

/** Shows another view; the button "back" returns. */
export function go(next: Route): void {
  history.pushState(null, "", printRoute(next));
  route.value = next;
}

/**
 * Notes a detail of the view in the address, without an entry in the history and without a new view. A view that the
 * user has left has no say: it may still be on the screen when the address has changed already.
 */
export function note(current: Route): void {
  const shown = route.value;
  const left = shown.view !== current.view || ("name" in shown && "name" in current && shown.name !== current.name);
  const fragment = printRoute(current);
  if (!left && fragment !== location.hash) history.replaceState(null, "", fragment);
}

function query(parameters: URLSearchParams): string {
  const text = parameters.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  return text ? `?${text}` : "";
}

function cut(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function integer(text: string): bigint | null {
  return /^-?\d{1,20}$/.test(text) ? BigInt(text) : null;
}
