/** A panel: what it shows of which topics. Its text form is a part of links. */

export const KINDS = ["plot", "image", "map", "scene", "bands", "log", "message"] as const;
export type PanelKind = (typeof KINDS)[number];

export interface Source {
  topic: string;
  /** Dotted paths; empty where the kind of the panel chooses. */
  fields: string[];
}

export interface Panel {
  /** Differs between the panels on the screen. */
  id: number;
  kind: PanelKind;
  sources: Source[];
  /** As wide as the screen. */
  wide: boolean;
}

export const MOST_FIELDS = 8;

let nextId = 1;

export function newPanel(kind: PanelKind, sources: Source[], wide = false): Panel {
  return { id: nextId++, kind, sources, wide };
}

/** `plot!imu!acceleration.x!acceleration.y!!gps!position.z`; `plot*…` is wide. */
export function printPanel(panel: Panel): string {
  const sources = panel.sources.map(({ topic, fields }) => [topic, ...fields].map(protect).join("!"));
  return `${panel.kind}${panel.wide ? "*" : ""}!${sources.join("!!")}`;
}

/** The panel of a text; null if it is none. */
export function parsePanel(text: string): Panel | null {
  const at = text.indexOf("!");
  if (at < 0) return null;
  const wide = text[at - 1] === "*";
  const kind = text.slice(0, wide ? at - 1 : at) as PanelKind;
  if (!KINDS.includes(kind)) return null;
  const sources = text
    .slice(at + 1)
    .split("!!")
    .map((part) => part.split("!").map(plain))
    .filter(([topic]) => topic !== "")
    .map(([topic, ...fields]) => ({ topic: topic!, fields: fields.slice(0, MOST_FIELDS) }));
  return sources.length === 0 ? null : newPanel(kind, sources, wide);
}

/** All fields of a panel, with their topics, in the order of their colors. */
export function fieldsOf(panel: Panel): { topic: string; field: string }[] {
  return panel.sources.flatMap(({ topic, fields }) => fields.map((field) => ({ topic, field })));
}

/** The struct that all fields are in, such as `acceleration`; empty if they have none in common. */
export function commonParent(fields: string[]): string {
  const parents = new Set(fields.map((field) => field.slice(0, Math.max(0, field.lastIndexOf(".")))));
  return parents.size === 1 ? [...parents][0]! : "";
}

/** The panel with a field added, or without it if it has it. Null if nothing is left. */
export function toggleField(panel: Panel, topic: string, field: string): Panel | null {
  const source = panel.sources.find((candidate) => candidate.topic === topic);
  if (!source) return { ...panel, sources: [...panel.sources, { topic, fields: [field] }] };
  const had = source.fields.includes(field);
  const fields = had ? source.fields.filter((other) => other !== field) : [...source.fields, field];
  const sources = panel.sources
    .map((other) => (other === source ? { topic, fields } : other))
    .filter((other) => other.fields.length > 0);
  return sources.length === 0 ? null : { ...panel, sources };
}

function protect(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("!", "%21");
}

function plain(text: string): string {
  return text.replaceAll("%21", "!").replaceAll("%25", "%");
}
