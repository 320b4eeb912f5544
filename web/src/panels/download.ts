/** Files of what a panel shows. */

import { ARROW, messages, series, topicPath } from "../api/client.ts";
import { address, call, hasKey, messageOf } from "../api/http.ts";
import { printJson } from "../api/json.ts";
import { decodeSeries } from "../api/series.ts";
import type { SequenceModel } from "../sequence/model.ts";
import { type MenuItem, notify, save, saveLink } from "../ui/overlay.tsx";
import { color } from "../ui/theme.ts";
import type { Panel, Source } from "./panel.ts";

const CSV_PX = 8192;

export function downloadItems(model: SequenceModel, panel: Panel, body: HTMLElement): MenuItem[] {
  const items: MenuItem[] = [];
  const canvas = body.querySelector("canvas");
  if (canvas) items.push({ label: "Save as PNG", icon: "download", action: () => savePng(model, canvas, panel) });
  for (const source of panel.sources) {
    const { topic } = source;
    if (source.fields.length > 0) {
      const action = () => void report(saveCsv(model, source));
      items.push({ label: `Save as CSV`, detail: topic, icon: "download", action });
    }
    if (panel.kind === "message") {
      items.push({ label: "Save as JSON", icon: "download", action: () => void report(saveJson(model, topic)) });
    }
    const action = () => void report(saveArrow(model, source));
    items.push({ label: "Save window as Arrow", detail: topic, icon: "download", action });
  }
  return items;
}

function savePng(model: SequenceModel, canvas: HTMLCanvasElement, panel: Panel): void {
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  const context = copy.getContext("2d")!;
  context.fillStyle = color("surface");
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  copy.toBlob((blob) => blob && save(blob, `${fileName(model, panel.sources[0]!.topic)}.png`), "image/png");
}

/** One row per message, or per pixel column if the window has more than `CSV_PX` of them. */
async function saveCsv(model: SequenceModel, { topic, fields }: Source): Promise<void> {
  const { from, to } = model.window.value;
  const origin = model.origin.value;
  const request = { from: model.timeAt(from), to: model.timeAt(to), px: CSV_PX };
  const columns = decodeSeries(await series(model.name, topic, fields, request), fields, origin);
  const exact = columns.count.every((count) => count === 1);
  const parts = exact ? (["last"] as const) : (["min", "max", "first", "last"] as const);
  const names = fields.flatMap((field) => parts.map((part) => (exact ? field : `${field}.${part}`)));
  const lines = [["timestamp_ns", ...names].map(quoted).join(",")];
  for (let index = 0; index < columns.first.length; index += 1) {
    const values = fields.flatMap((field) => parts.map((part) => columns.fields.get(field)![part][index]!));
    const texts = values.map((value) => (Number.isNaN(value) ? "" : String(value)));
    lines.push([String(origin + BigInt(columns.first[index]!)), ...texts].join(","));
  }
  save(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }), `${fileName(model, topic)}.csv`);
  if (!exact) notify("The window has too many messages: the file has min, max, first and last per interval");
}

async function saveJson(model: SequenceModel, topic: string): Promise<void> {
  const page = await messages(model.name, topic, { at: model.timeAt(model.cursor.value) });
  const blob = new Blob([printJson(page.messages, 2)], { type: "application/json" });
  save(blob, `${fileName(model, topic)}.json`);
}

/** All rows of the window, as the daemon streams them. Without an API key the browser writes them to the disk. */
async function saveArrow(model: SequenceModel, { topic, fields }: Source): Promise<void> {
  const { from, to } = model.window.value;
  const parameters = { from: model.timeAt(from), to: model.timeAt(to), columns: fields.join(",") };
  const path = `${topicPath(model.name, topic)}/data`;
  const name = `${fileName(model, topic)}.arrows`;
  if (!hasKey()) {
    saveLink(address(path, parameters), name);
    return;
  }
  const response = await call(path, { parameters, accept: ARROW });
  save(await response.blob(), name);
}

async function report(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    notify(messageOf(error));
  }
}

function fileName(model: SequenceModel, topic: string): string {
  return `${model.name}-${topic}`;
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
