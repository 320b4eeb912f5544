/** One sequence: panels above, time below. */

import { effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { messages } from "../api/client.ts";
import { messageOf } from "../api/http.ts";
import { ns, type TopicDetail } from "../api/types.ts";
import { formatBytes, formatCount, formatDuration, plural } from "../lib/format.ts";
import { throttle } from "../lib/latest.ts";
import { go, LIST, note, printRoute, type SequenceRoute } from "../lib/route.ts";
import { PanelFrame } from "../panels/panel_frame.tsx";
import { AppHeader } from "../ui/header.tsx";
import { Icon, IconButton } from "../ui/icons.tsx";
import { copyText, Dialog, Menu, notify, saveLink } from "../ui/overlay.tsx";
import { commandOf, mcapOf, pythonOf, viewOf } from "./code.ts";
import { Details } from "./details.tsx";
import { isTyping, KEYS, pressKey } from "./keyboard.ts";
import { Lanes } from "./lanes.tsx";
import { SequenceModel } from "./model.ts";
import { startPlayer } from "./player.ts";
import { Splitter } from "./splitter.tsx";
import { Transport } from "./transport.tsx";

const NOTE_MS = 250;

export default function SequenceView({ shown }: { shown: SequenceRoute }) {
  const reference = useRef<SequenceModel | null>(null);
  reference.current ??= new SequenceModel(shown);
  const model = reference.current;
  const help = useSignal(false);
  const selected = useSignal<string | null>(null);
  const first = useRef(true);

  useEffect(() => {
    document.title = `${model.name} – mosaico`;
    model.start();
    const stopPlayer = startPlayer(model);
    const noteSoon = throttle(NOTE_MS, () => note(model.route()));
    const stopNoting = effect(() => {
      // Reads what the link contains, so that a change of it is noted.
      if (model.detail.value?.time_range && model.route()) noteSoon();
    });
    return () => {
      noteSoon.cancel();
      stopNoting();
      stopPlayer();
      model.stop();
    };
  }, [model]);
  useEffect(() => {
    // The model has read the first route itself.
    if (!first.current && model.detail.peek()?.time_range) model.restore(shown);
    first.current = false;
  }, [shown]);

  const stepMessage = (direction: 1 | -1) => {
    const topic = selected.value ?? fastest(model.detail.value?.topics ?? []);
    if (topic) void step(model, topic, direction);
  };
  useEffect(() => {
    const actions = {
      stepMessage,
      help: () => {
        help.value = true;
      },
      leave: () => go(LIST),
    };
    const onKeyDown = (event: KeyboardEvent) => {
      if (!isTyping(event) && pressKey(model, event, actions)) event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [model]);

  const detail = model.detail.value;
  const topicOf = (name: string) => detail?.topics.find((topic) => topic.name === name);
  return (
    <div class="sequence-view">
      <AppHeader>
        <Title model={model} />
        <Actions model={model} />
      </AppHeader>
      {model.error.value && (
        <div class="problem" role="alert">
          {model.error.value}
          <a class="button" href={printRoute(LIST)}>
            All recordings
          </a>
        </div>
      )}
      <main class="panels" aria-label="Panels">
        {detail?.time_range &&
          model.panels.value.map((panel) => (
            <PanelFrame key={panel.id} model={model} panel={panel} topicOf={topicOf} />
          ))}
        {detail && !detail.time_range && <Empty recording={model.recording.value} />}
        {detail?.time_range && model.panels.value.length === 0 && (
          <p class="panel-note">No panels. Choose “+” at a topic below, or a field of it.</p>
        )}
      </main>
      <section class="time" aria-label="Time line">
        <Splitter />
        <Transport
          model={model}
          stepMessage={stepMessage}
          help={() => {
            help.value = true;
          }}
        />
        <Lanes
          model={model}
          selected={selected.value}
          onSelect={(topic) => {
            selected.value = topic;
          }}
        />
      </section>
      {help.value && (
        <Help
          onClose={() => {
            help.value = false;
          }}
        />
      )}
    </div>
  );
}

function Title({ model }: { model: SequenceModel }) {
  const detail = model.detail.value;
  const range = detail?.time_range;
  const facts = detail && [
    plural(detail.topics.length, "topic"),
    ...(range ? [formatDuration(Number(ns(range.max_ns) - ns(range.min_ns)))] : []),
    `${formatCount(detail.rows)} rows`,
    formatBytes(detail.bytes),
  ];
  return (
    <div class="sequence-title">
      <h1 title={model.name}>{model.name}</h1>
      {detail && <span class={`badge ${detail.state}`}>{detail.state}</span>}
      {facts && <span class="detail facts">{facts.join(" · ")}</span>}
      <span class="tags">
        {Object.entries(detail?.user_metadata ?? {}).map(([key, value]) => (
          <span class="tag" key={key}>
            <i>{key}</i> {typeof value === "object" ? "{…}" : String(value)}
          </span>
        ))}
      </span>
    </div>
  );
}

function Actions({ model }: { model: SequenceModel }) {
  const open = useSignal(false);
  const host = location.hostname;
  const mcap = () => mcapOf(viewOf(model));
  const link = () => new URL(printRoute(model.route()), location.href).href;
  return (
    <>
      {model.detail.value && (
        <IconButton
          icon="info"
          label="Details and metadata"
          onClick={() => {
            open.value = true;
          }}
        />
      )}
      {open.value && (
        <Details
          detail={model.detail.value!}
          onClose={() => {
            open.value = false;
          }}
        />
      )}
      <Menu
        label="Share and copy"
        icon="link"
        text="Share"
        items={() => [
          { label: "Copy link to this view", icon: "link", action: () => void copyText(link(), "Link") },
          {
            label: "Copy as Python",
            icon: "copy",
            action: () => void copyText(pythonOf(viewOf(model), host), "Python"),
          },
          {
            label: "Copy as command",
            icon: "copy",
            action: () => void copyText(commandOf(viewOf(model), host), "Command"),
          },
          {
            label: "Open as MCAP: copy address",
            icon: "link",
            action: () => void copyText(new URL(mcap(), location.href).href, "Address"),
          },
          { label: "Save as MCAP", icon: "download", action: () => saveLink(mcap(), `${model.name}.mcap`) },
          { label: "Choose panels automatically", icon: "plot", action: () => model.choosePanels() },
        ]}
      />
    </>
  );
}

function Empty({ recording }: { recording: boolean }) {
  return (
    <div class="nothing">
      <Icon name="bands" />
      <p>
        {recording
          ? "No messages yet. They appear here as soon as they are durable."
          : "This sequence has no messages."}
      </p>
    </div>
  );
}

function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([keys, meaning]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <p class="detail">
        On plots and the ruler, the wheel zooms and a drag moves; on lanes the wheel zooms with Ctrl. Shift and a drag
        select a range. A double click shows everything.
      </p>
    </Dialog>
  );
}

/** The topic whose messages are nearest to each other. */
function fastest(topics: TopicDetail[]): string | null {
  return (
    topics.reduce<TopicDetail | null>(
      (best, topic) => ((topic.rate_hz ?? 0) > (best?.rate_hz ?? 0) ? topic : best),
      null,
    )?.name ?? null
  );
}

async function step(model: SequenceModel, topic: string, direction: 1 | -1): Promise<void> {
  const now = model.timeAt(model.cursor.value);
  const request = direction === 1 ? { from: now + 1n, limit: 1 } : { at: now - 1n };
  try {
    const page = await messages(model.name, topic, request);
    const [message] = page.messages;
    if (message) model.seek(Number(ns(message.timestamp_ns) - model.origin.value));
  } catch (error) {
    notify(messageOf(error));
  }
}
