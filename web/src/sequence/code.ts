/** What is on the screen, as code. */

import { sequencePath } from "../api/client.ts";
import { address } from "../api/http.ts";
import { isoTime } from "../lib/format.ts";
import { contains } from "../lib/window.ts";
import type { Panel } from "../panels/panel.ts";
import type { SequenceModel } from "./model.ts";

/** Where daemons answer the Python package and the command, unless they are set up otherwise. */
const PORT = 6726;

export interface View {
  name: string;
  topics: string[];
  /** ns since the epoch; null: everything. */
  window: { from: bigint; to: bigint } | null;
}

/** The topics on the panels and the window. */
export function viewOf(model: SequenceModel): View {
  const { from, to } = model.window.value;
  const all = contains(model.window.value, model.extent.value);
  return {
    name: model.name,
    topics: topicsOf(model.panels.value),
    window: all ? null : { from: model.timeAt(from), to: model.timeAt(to) },
  };
}

/** A script that reads the topics of the view as tables, from the daemon at `host`. */
export function pythonOf({ name, topics, window }: View, host: string): string {
  const times = window ? `start_timestamp_ns=${window.from}, end_timestamp_ns=${window.to}` : "";
  const lines = [
    "from mosaicolabs import MosaicoClient",
    "",
    `with MosaicoClient.connect(${literal(host)}, ${PORT}) as client:`,
    `    sequence = client.sequence_handler(${literal(name)})`,
    ...topics.map(
      (topic) => `    ${variable(topic)} = sequence.get_topic_handler(${literal(topic)}).to_arrow(${times})`,
    ),
  ];
  return `${lines.join("\n")}\n`;
}

/** A command that prints the messages of the view. */
export function commandOf({ name, topics, window }: View, host: string): string {
  const options = topics.length > 0 ? ` --topics ${topics.map(shell).join(" ")}` : "";
  const times = window ? ` --from ${isoTime(window.from)} --to ${isoTime(window.to)}` : "";
  return `mosaico cat ${shell(name)}${options}${times} --host ${host} --port ${PORT}`;
}

/** The address of the view as an MCAP file, which players open by ranges. */
export function mcapOf({ name, topics, window }: View): string {
  return address(`${sequencePath(name)}.mcap`, { topics: topics.join(","), ...window });
}

function topicsOf(panels: Panel[]): string[] {
  return [...new Set(panels.flatMap((panel) => panel.sources.map(({ topic }) => topic)))];
}

function literal(text: string): string {
  return JSON.stringify(text);
}

function variable(topic: string): string {
  const name = topic
    .replace(/[^A-Za-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .toLowerCase();
  return /^[a-z]/.test(name) ? name : `topic_${name}`;
}

function shell(text: string): string {
  return /^[\w./:@-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
