/** JSON as a tree that opens and closes. */

import type { Json } from "../api/types.ts";
import { formatBytes } from "../lib/format.ts";

const MOST_ITEMS = 200;

export function Fields({ value }: { value: { [key: string]: Json } }) {
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
      <details open={!Array.isArray(value) && name !== "header"}>
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
  if (typeof value === "number") return <span class="value number">{String(value)}</span>;
  if (typeof value === "string") return <span class="value text">{value}</span>;
  return <span class={value === null ? "detail" : "value"}>{String(value)}</span>;
}

/** Binary fields arrive as `{"bytes": n}`. */
function binaryBytes(value: Json[] | { [key: string]: Json }): number | null {
  if (Array.isArray(value) || Object.keys(value).length !== 1) return null;
  return typeof value["bytes"] === "number" ? value["bytes"] : null;
}
