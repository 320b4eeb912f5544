/** What a topic can be shown as, found by its fields rather than its tag: it works for the user's own classes too. */

import type { Field, TopicDetail } from "../api/types.ts";

export interface PathFields {
  /** Fields of x, y and z. */
  xyz: [string, string, string];
  /** Fields of the quaternion of the orientation, x, y, z, w. */
  orientation: [string, string, string, string] | null;
}

/** The time is the axis; the rest describes a message and not what was measured. */
const HIDDEN = /^(?:recording_)?timestamp_ns$|(?:^|\.)(?:header|covariance|covariance_type|variance_type)(?:\.|\[|$)/;
const CODES = /(?:^|[._])(?:status|state|mode|code|health|technology|phase|gear)$/;
/** Positions, with the orientations that belong to them. */
const PATHS = [
  ["position", "orientation"],
  ["pose.position", "pose.orientation"],
  ["translation", "rotation"],
  ["pose.pose.position", "pose.pose.orientation"],
] as const;
const IMAGE_TAGS = ["image", "compressed_image"];
const TEXT_NAMES = ["message", "msg", "text", "sentence", "data"];

function paths(topic: TopicDetail): Set<string> {
  return new Set(topic.fields.map((field) => field.path));
}

/** Whether a field describes its message, such as those of headers, and not what was measured. */
export function isAside(field: Field): boolean {
  return HIDDEN.test(field.path);
}

/** Numeric fields that a plot can show, without those that only describe the message. */
export function numericFields(topic: TopicDetail): Field[] {
  return topic.fields.filter(
    (field) => field.kind === "number" && !isState(field) && !field.path.includes("[]") && !HIDDEN.test(field.path),
  );
}

export function stateFields(topic: TopicDetail): Field[] {
  return topic.fields.filter((field) => isState(field) && !field.path.includes("[]") && !HIDDEN.test(field.path));
}

/** Booleans, and integers whose name says that they are codes. */
export function isState({ kind, type, path }: Field): boolean {
  if (kind === "bool") return true;
  return kind === "number" && /^u?int/i.test(type) && CODES.test(path);
}

export function isImage(topic: TopicDetail): boolean {
  if (IMAGE_TAGS.includes(topic.ontology_tag)) return true;
  const format = topic.fields.some(({ path, kind }) => path === "format" && kind !== "binary");
  return format && topic.fields.some(({ path, kind }) => path === "data" && kind === "binary");
}

/** Fields of latitude and longitude, degrees. */
export function placeFields(topic: TopicDetail): { latitude: string; longitude: string } | null {
  const known = paths(topic);
  if (/gps|gnss|nav_?sat/.test(topic.ontology_tag) && known.has("position.x") && known.has("position.y")) {
    return { latitude: "position.x", longitude: "position.y" };
  }
  const find = (pattern: RegExp) => numericFields(topic).find(({ path }) => pattern.test(path))?.path;
  const latitude = find(/(?:^|\.)lat(?:itude)?(?:_deg)?$/);
  const longitude = find(/(?:^|\.)lon(?:g|gitude)?(?:_deg)?$/);
  return latitude && longitude ? { latitude, longitude } : null;
}

/** Fields of a position in space, m. */
export function pathFields(topic: TopicDetail): PathFields | null {
  if (placeFields(topic)) return null;
  const known = paths(topic);
  const all = (names: string[]) => names.every((path) => known.has(path));
  for (const [position, rotation] of PATHS) {
    const xyz = [`${position}.x`, `${position}.y`, `${position}.z`] as PathFields["xyz"];
    const turn = ["x", "y", "z", "w"].map((axis) => `${rotation}.${axis}`) as [string, string, string, string];
    if (all(xyz)) return { xyz, orientation: all(turn) ? turn : null };
  }
  return topic.ontology_tag === "point_3_d" && known.has("z") ? { xyz: ["x", "y", "z"], orientation: null } : null;
}

export type CloudForm = "columns" | "packed" | "scan";

/** How a topic stores points: a list per axis, packed bytes, or ranges by angle. */
export function cloudForm(topic: TopicDetail): CloudForm | null {
  const known = paths(topic);
  if (["x[]", "y[]", "z[]"].every((path) => known.has(path))) return "columns";
  if (known.has("point_step") && known.has("data")) return "packed";
  return known.has("ranges[]") && known.has("angle_min") && known.has("angle_increment") ? "scan" : null;
}

/** The field with the text of a log. */
export function textField(topic: TopicDetail): string | null {
  const texts = topic.fields.filter(({ kind, path }) => kind === "text" && !HIDDEN.test(path)).map(({ path }) => path);
  return TEXT_NAMES.find((name) => texts.includes(name)) ?? null;
}

/** The field with the level of a log. */
export function levelField(topic: TopicDetail): string | null {
  return topic.fields.find(({ path }) => ["level", "severity", "log_level"].includes(path))?.path ?? null;
}
