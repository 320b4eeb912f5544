/** The panels that a sequence is shown with until the user chooses others. */

import type { SequenceDetail, TopicDetail } from "../api/types.ts";
import { cloudForm, isImage, numericFields, pathFields, placeFields, stateFields, textField } from "../lib/roles.ts";
import { MOST_FIELDS, newPanel, type Panel, type PanelKind, type Source } from "./panel.ts";

const MOST_IMAGES = 2;
const MOST_PLOTS = 4;
const MOST_STATES = 8;

export function choosePanels(detail: SequenceDetail): Panel[] {
  const topics = detail.topics.filter((topic) => topic.rows === null || topic.rows > 0);
  const panels: Panel[] = [];
  const images = topics.filter(isImage);
  for (const topic of images.slice(0, MOST_IMAGES)) panels.push(panelFor("image", topic));
  const places = topics.filter(placeFields);
  if (places.length > 0) panels.push(newPanel("map", places.map(plain)));
  const moving = topics.filter(pathFields);
  if (moving.length > 0) panels.push(newPanel("scene", moving.map(plain)));
  // Apart from the paths: without transforms, points are in the frame of their sensor.
  const cloud = topics.find(cloudForm);
  if (cloud) panels.push(panelFor("scene", cloud));
  const plotted = topics.filter((topic) => !isImage(topic) && !cloudForm(topic) && !placeFields(topic));
  const groups = plotted.map(fieldGroups);
  // The first group of each topic before the second of any: a plot of everything beats three of one.
  for (let rank = 0; rank < 2; rank += 1) {
    for (const [at, topic] of plotted.entries()) {
      const fields = groups[at]![rank];
      const plots = panels.filter((panel) => panel.kind === "plot").length;
      if (fields && plots < MOST_PLOTS) panels.push(newPanel("plot", [{ topic: topic.name, fields }]));
    }
  }
  const states = statesOf(topics);
  if (states.length > 0) panels.push(newPanel("bands", states));
  const log = topics.find((topic) => textField(topic) && !isImage(topic) && stateFields(topic).length === 0);
  if (log) panels.push(panelFor("log", log));
  if (panels.length === 0 && topics[0]) panels.push(panelFor("message", topics[0]));
  return panels;
}

/** Kinds that can show a topic, the best first. */
export function kindsFor(topic: TopicDetail): PanelKind[] {
  const kinds: PanelKind[] = [];
  if (isImage(topic)) kinds.push("image");
  if (placeFields(topic)) kinds.push("map");
  if (pathFields(topic) || cloudForm(topic)) kinds.push("scene");
  if (numericFields(topic).length > 0 && !isImage(topic)) kinds.push("plot");
  if (stateFields(topic).length > 0) kinds.push("bands");
  if (textField(topic) && !isImage(topic)) kinds.push("log");
  return [...kinds, "message"];
}

export function panelFor(kind: PanelKind, topic: TopicDetail): Panel {
  if (kind === "plot") return newPanel(kind, [{ topic: topic.name, fields: fieldGroups(topic)[0] ?? [] }]);
  if (kind === "bands") {
    const fields = stateFields(topic).map(({ path }) => path);
    return newPanel(kind, [{ topic: topic.name, fields: fields.slice(0, MOST_FIELDS) }]);
  }
  return newPanel(kind, [plain(topic)]);
}

/**
 * Fields that belong on one plot: those of one struct, such as `acceleration`, and those that differ by an axis or a
 * position only, such as `vx` and `vy` or `gyro[0]` and `gyro[1]`. Other numbers are each on their own.
 */
export function fieldGroups(topic: TopicDetail): string[][] {
  const groups = new Map<string, string[]>();
  for (const { path } of numericFields(topic)) {
    const cut = path.lastIndexOf(".");
    const key = cut < 0 ? stemOf(path) : path.slice(0, cut);
    groups.set(key, [...(groups.get(key) ?? []), path]);
  }
  return [...groups.values()].map((fields) => fields.slice(0, MOST_FIELDS));
}

/** A name without its axis or position. */
function stemOf(name: string): string {
  return name.replace(/^[xyzw]$|(?<=^[a-z]|_)[xyzw]$|\[\d+\]$|_\d+$/, "*");
}

function statesOf(topics: TopicDetail[]): Source[] {
  const sources: Source[] = [];
  let left = MOST_STATES;
  for (const topic of topics) {
    // Codes in optional structs, such as the state of a receiver, are often empty.
    const fields = stateFields(topic)
      .filter(({ kind, path }) => kind === "bool" || !path.includes("."))
      .slice(0, left);
    if (isImage(topic) || cloudForm(topic) || fields.length === 0) continue;
    sources.push({ topic: topic.name, fields: fields.map(({ path }) => path) });
    left -= fields.length;
  }
  return sources;
}

function plain(topic: TopicDetail): Source {
  return { topic: topic.name, fields: [] };
}
