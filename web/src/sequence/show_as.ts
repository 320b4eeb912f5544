/** Adds panels for topics and fields. */

import type { Field, TopicDetail } from "../api/types.ts";
import { isState } from "../lib/roles.ts";
import { kindsFor, panelFor } from "../panels/choose.ts";
import { fieldsOf, MOST_FIELDS, newPanel, type Panel, type PanelKind, toggleField } from "../panels/panel.ts";
import type { IconName } from "../ui/icons.tsx";
import type { MenuItem } from "../ui/overlay.tsx";
import type { SequenceModel } from "./model.ts";

export const KIND_LABELS: Record<PanelKind, string> = {
  plot: "Plot",
  image: "Image",
  map: "Map",
  scene: "3-D",
  bands: "States",
  log: "Log",
  message: "Message",
};

export function showAsItems(model: SequenceModel, topic: TopicDetail): MenuItem[] {
  return kindsFor(topic).map((kind) => ({
    label: KIND_LABELS[kind],
    icon: kind as IconName,
    action: () => addPanel(model, panelFor(kind, topic)),
  }));
}

export function addPanel(model: SequenceModel, panel: Panel): void {
  model.setPanels([...model.panels.value, panel]);
  requestAnimationFrame(() => document.getElementById(`panel-${panel.id}`)?.scrollIntoView({ block: "nearest" }));
}

export function replacePanel(model: SequenceModel, panel: Panel, next: Panel | null): void {
  const panels = model.panels.value;
  model.setPanels(panels.flatMap((other) => (other.id === panel.id ? (next ? [next] : []) : [other])));
}

/** Moves a panel one place forward or back. */
export function movePanel(model: SequenceModel, panel: Panel, by: 1 | -1): void {
  const panels = [...model.panels.value];
  const at = panels.findIndex((other) => other.id === panel.id);
  const to = at + by;
  if (to < 0 || to >= panels.length) return;
  [panels[at], panels[to]] = [panels[to]!, panels[at]!];
  model.setPanels(panels);
}

/** Puts a panel in the place of another one. */
export function placePanel(model: SequenceModel, id: number, place: number): void {
  const panels = [...model.panels.value];
  const from = panels.findIndex((panel) => panel.id === id);
  const to = panels.findIndex((panel) => panel.id === place);
  if (from < 0 || to < 0 || from === to) return;
  panels.splice(to, 0, ...panels.splice(from, 1));
  model.setPanels(panels);
}

/** The kind of panel for a field; null if only the message shows it. */
export function kindOf(field: Field): "plot" | "bands" | null {
  if (field.path.includes("[]") || field.path === "timestamp_ns") return null;
  if (isState(field)) return "bands";
  return field.kind === "number" ? "plot" : null;
}

/** Whether a panel on the screen shows the field. */
export function isShown(model: SequenceModel, topic: string, field: Field): boolean {
  const kind = kindOf(field);
  return model.panels.value.some((panel) => panel.kind === kind && has(panel, topic, field.path));
}

/**
 * Shows a field, or takes it away where it is shown. A new field goes to the last panel that shows its topic, else to
 * the last one of its kind, or to a new one if `apart`.
 */
export function toggleShown(model: SequenceModel, topic: string, field: Field, apart: boolean): void {
  const kind = kindOf(field);
  if (!kind) return;
  const panels = model.panels.value.filter((panel) => panel.kind === kind);
  const showing = panels.find((panel) => has(panel, topic, field.path));
  const free = panels.filter((panel) => fieldsOf(panel).length < MOST_FIELDS);
  const target = free.findLast((panel) => panel.sources.some((source) => source.topic === topic)) ?? free.at(-1);
  const changed = showing ?? target;
  if (changed && !apart) replacePanel(model, changed, toggleField(changed, topic, field.path));
  else addPanel(model, newPanel(kind, [{ topic, fields: [field.path] }]));
}

function has(panel: Panel, topic: string, field: string): boolean {
  return fieldsOf(panel).some((shown) => shown.topic === topic && shown.field === field);
}
