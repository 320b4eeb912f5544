/** The frame of a panel: its title, its menu, its content. */

import { useRef } from "preact/hooks";
import type { TopicDetail } from "../api/types.ts";
import type { SequenceModel } from "../sequence/model.ts";
import { KIND_LABELS, movePanel, placePanel, replacePanel } from "../sequence/show_as.ts";
import { Icon, IconButton } from "../ui/icons.tsx";
import { loaded } from "../ui/loaded.tsx";
import { Menu, type MenuItem } from "../ui/overlay.tsx";
import { BandsPanel } from "./bands_panel.tsx";
import { downloadItems } from "./download.ts";
import { ImagePanel } from "./image_panel.tsx";
import { LogPanel } from "./log_panel.tsx";
import { MapPanel } from "./map_panel.tsx";
import { MessagePanel } from "./message_panel.tsx";
import { commonParent, type Panel, type PanelKind } from "./panel.ts";
import { PlotPanel } from "./plot_panel.tsx";

export interface PanelProps {
  model: SequenceModel;
  panel: Panel;
  topicOf: (name: string) => TopicDetail | undefined;
}

/** Type of what is dragged: the id of a panel. */
const DRAGGED = "application/x-mosaico-panel";
const ScenePanel = loaded<PanelProps>(() => import("./scene_panel.tsx"));
const CONTENT: Record<PanelKind, (props: PanelProps) => preact.JSX.Element | null> = {
  plot: PlotPanel,
  image: ImagePanel,
  map: MapPanel,
  scene: (props) => <ScenePanel {...props} />,
  bands: BandsPanel,
  log: LogPanel,
  message: MessagePanel,
};

export function PanelFrame(props: PanelProps) {
  const { model, panel, topicOf } = props;
  const body = useRef<HTMLDivElement>(null);
  const Content = CONTENT[panel.kind];
  const missing = panel.sources.filter(({ topic }) => !topicOf(topic)).map(({ topic }) => topic);
  const title = panel.sources.map(({ topic }) => topic).join(", ");
  const parent = panel.kind === "plot" && panel.sources.length === 1 ? commonParent(panel.sources[0]!.fields) : "";
  /** The same fields can be shown both ways: codes as curves, numbers as states. */
  const other: "plot" | "bands" | null = panel.kind === "plot" ? "bands" : panel.kind === "bands" ? "plot" : null;
  const items = (): MenuItem[] => [
    { label: "Move forward", icon: "left", action: () => movePanel(model, panel, -1) },
    { label: "Move back", icon: "right", action: () => movePanel(model, panel, 1) },
    ...(other
      ? [
          {
            label: `Show as ${KIND_LABELS[other]}`,
            icon: other,
            action: () => replacePanel(model, panel, { ...panel, kind: other }),
          },
        ]
      : []),
    ...downloadItems(model, panel, body.current!),
  ];
  return (
    <section
      id={`panel-${panel.id}`}
      onDragOver={(event) => {
        if (event.dataTransfer?.types.includes(DRAGGED)) event.preventDefault();
      }}
      onDrop={(event) => {
        event.preventDefault();
        placePanel(model, Number(event.dataTransfer?.getData(DRAGGED)), panel.id);
      }}
      class={panel.wide ? "panel wide" : "panel"}
      aria-label={`${KIND_LABELS[panel.kind]}: ${[title, parent].join(" ").trim()}`}
    >
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the menu moves panels by the keyboard */}
      <header draggable onDragStart={(event) => event.dataTransfer?.setData(DRAGGED, String(panel.id))}>
        <Icon name={panel.kind} />
        <h2 title={title}>
          {title}
          {parent && <span class="detail"> {parent}</span>}
        </h2>
        <Menu label="More" icon="more" items={items} />
        <IconButton
          icon={panel.wide ? "shrink" : "expand"}
          label={panel.wide ? "Normal width" : "Full width"}
          onClick={() => replacePanel(model, panel, { ...panel, wide: !panel.wide })}
        />
        <IconButton icon="close" label="Remove the panel" onClick={() => replacePanel(model, panel, null)} />
      </header>
      <div class="panel-body" ref={body}>
        {missing.length > 0 ? (
          <p class="panel-note">This sequence has no topic {missing.join(", ")}.</p>
        ) : (
          <Content {...props} />
        )}
      </div>
    </section>
  );
}
