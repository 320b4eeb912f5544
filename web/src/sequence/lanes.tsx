/** The topics, each with its lane: where it has rows, how many, and where it has gaps. */

import { useComputed, useSignal } from "@preact/signals";
import { useCallback, useRef } from "preact/hooks";
import type { TopicDetail } from "../api/types.ts";
import { formatBytes, formatCount, formatOffset, formatRate, plural } from "../lib/format.ts";
import { lengthOf } from "../lib/window.ts";
import { Canvas } from "../ui/canvas.tsx";
import { Icon } from "../ui/icons.tsx";
import { Menu } from "../ui/overlay.tsx";
import { color } from "../ui/theme.ts";
import { FieldChips } from "./field_chips.tsx";
import { useTimeGestures } from "./gestures.ts";
import type { SequenceModel } from "./model.ts";
import { Ruler } from "./ruler.tsx";
import { showAsItems } from "./show_as.ts";

interface LanesProps {
  model: SequenceModel;
  selected: string | null;
  onSelect: (topic: string) => void;
}

export function Lanes({ model, selected, onSelect }: LanesProps) {
  const element = useRef<HTMLDivElement>(null);
  const label = useRef<HTMLDivElement>(null);
  const filter = useSignal("");
  useTimeGestures(model, element, { drag: "pan", wheel: "ctrl", left: () => label.current?.offsetWidth ?? 0 });
  const topics = model.detail.value?.topics ?? [];
  const wanted = filter.value.toLowerCase();
  const shown = topics.filter(({ name, ontology_tag }) => `${name} ${ontology_tag}`.toLowerCase().includes(wanted));
  return (
    <div class="lanes-frame">
      <div class="lanes">
        <div class="lane head">
          <div class="lane-label" ref={label}>
            <input
              type="search"
              aria-label="Filter topics"
              placeholder={plural(topics.length, "topic")}
              value={filter.value}
              onInput={(event) => {
                filter.value = event.currentTarget.value;
              }}
            />
            <span class="number">Rate</span>
            <span class="number">Rows</span>
            <span class="number">Size</span>
          </div>
          <Ruler model={model} />
        </div>
        <div class="lane-list" ref={element} role="list" aria-label="Topics">
          {shown.map((topic) => (
            <Lane key={topic.name} model={model} topic={topic} selected={topic.name === selected} onSelect={onSelect} />
          ))}
        </div>
      </div>
      <TimeLine model={model} kind="hover" />
      <TimeLine model={model} kind="cursor" />
    </div>
  );
}

interface LaneProps {
  model: SequenceModel;
  topic: TopicDetail;
  selected: boolean;
  onSelect: (topic: string) => void;
}

function Lane({ model, topic, selected, onSelect }: LaneProps) {
  const open = useSignal(false);
  const { name } = topic;
  const draw = useCallback(
    (context: CanvasRenderingContext2D, width: number, height: number) => drawLane(model, name, context, width, height),
    [model, name],
  );
  return (
    <div class={`lane-row ${selected ? "selected" : ""}`} role="listitem">
      <div class="lane">
        <div class="lane-label">
          <button
            type="button"
            class="lane-name"
            aria-expanded={open.value}
            title={`${name}: fields`}
            onClick={() => {
              onSelect(name);
              open.value = !open.value;
            }}
          >
            <Icon name="chevron" />
            <span class="title">{name}</span>
            <span class="detail">{topic.ontology_tag}</span>
          </button>
          <span class="number">{formatRate(topic.rate_hz)}</span>
          <span class="number">{formatCount(topic.rows)}</span>
          <span class="number">{formatBytes(topic.bytes)}</span>
          <Menu label={`Show ${name} as`} icon="plus" items={() => showAsItems(model, topic)} />
        </div>
        <Canvas draw={draw} class="lane-canvas" />
      </div>
      {open.value && <FieldChips model={model} topic={topic} />}
    </div>
  );
}

function drawLane(
  model: SequenceModel,
  topic: string,
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
) {
  const density = model.density.value;
  const counts = density?.topics.get(topic);
  const window = model.window.value;
  const scale = width / lengthOf(window);
  context.fillStyle = color("line");
  context.fillRect(0, height - 1, width, 1);
  if (!density || !counts || counts.length === 0) return;
  const most = counts.reduce((max, count) => Math.max(max, count), 1);
  const step = lengthOf(density.window) / counts.length;
  const px = Math.max(1, step * scale);
  context.fillStyle = color("lane");
  for (let index = 0; index < counts.length; index += 1) {
    const count = counts[index]!;
    if (count === 0) continue;
    // The window may have moved since; what is known moves with it until the daemon answered.
    const x = (density.window.from + index * step - window.from) * scale;
    if (x + px < 0 || x > width) continue;
    const tall = (0.3 + 0.7 * (count / most)) * (height - 8);
    context.fillRect(x, (height - tall) / 2, px + 0.3, tall);
  }
}

function TimeLine({ model, kind }: { model: SequenceModel; kind: "cursor" | "hover" }) {
  const left = useComputed(() => {
    const time = model[kind].value;
    const { from, to } = model.window.value;
    return time === null || time < from || time > to ? null : (time - from) / (to - from);
  });
  if (left.value === null) return null;
  return (
    <div class="lane-overlay" style={{ width: `${model.lanePx.value}px` }}>
      <div class={`time-line ${kind}`} style={{ left: `${left.value * 100}%` }}>
        {kind === "hover" && <output>{formatOffset(model.hover.value!, lengthOf(model.window.value) / 1000)}</output>}
      </div>
    </div>
  );
}
