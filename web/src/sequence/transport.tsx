/** Play, speed, time, follow. */

import { formatDuration, formatOffset, formatTime } from "../lib/format.ts";
import { contains, lengthOf } from "../lib/window.ts";
import { IconButton } from "../ui/icons.tsx";
import type { SequenceModel } from "./model.ts";
import { SPEEDS, togglePlaying } from "./player.ts";

interface TransportProps {
  model: SequenceModel;
  stepMessage: (direction: 1 | -1) => void;
  help: () => void;
}

export function Transport({ model, stepMessage, help }: TransportProps) {
  const playing = model.playing.value;
  const all = contains(model.window.value, model.extent.value);
  return (
    <div class="transport" role="toolbar" aria-label="Player">
      <div class="buttons">
        <IconButton icon="first" label="To the first message (Home)" onClick={() => model.seek(0)} />
        <IconButton icon="previous" label="Previous message (,)" onClick={() => stepMessage(-1)} />
        <button
          type="button"
          class="play"
          aria-label={playing ? "Pause" : "Play"}
          title={playing ? "Pause (Space)" : "Play (Space)"}
          onClick={() => togglePlaying(model)}
        >
          <PlayIcon playing={playing} />
        </button>
        <IconButton icon="next" label="Next message (.)" onClick={() => stepMessage(1)} />
        <IconButton icon="last" label="To the last message (End)" onClick={() => model.seek(model.extent.value.to)} />
      </div>
      <label class="speed">
        <span class="visually-hidden">Speed</span>
        <select
          title="Speed ([ and ])"
          value={String(model.speed.value)}
          onChange={(event) => {
            model.speed.value = Number(event.currentTarget.value);
          }}
        >
          {SPEEDS.map((speed) => (
            <option key={speed} value={String(speed)}>
              {speed}×
            </option>
          ))}
        </select>
      </label>
      <IconButton
        icon="loop"
        label="Repeat"
        pressed={model.loop.value}
        onClick={() => {
          model.loop.value = !model.loop.value;
        }}
      />
      {model.recording.value && (
        <button
          type="button"
          class="button follow"
          aria-pressed={model.follow.value}
          title="Follow the recording (f)"
          onClick={() => model.setFollow(!model.follow.value)}
        >
          <span class="dot recording" /> Follow
        </button>
      )}
      <Clock model={model} />
      <span class="space" />
      {!all && (
        <button type="button" class="button" title="Show everything (0)" onClick={() => model.showAll()}>
          {formatDuration(lengthOf(model.window.value))} of {formatDuration(model.extent.value.to)} <b>Show all</b>
        </button>
      )}
      <IconButton icon="help" label="Keys (?)" onClick={help} />
    </div>
  );
}

/** Apart, since it changes with each frame of the screen. */
function Clock({ model }: { model: SequenceModel }) {
  const cursor = model.cursor.value;
  return (
    <div class="clock">
      <output>{formatOffset(cursor)}</output>
      <span class="detail">/ {formatOffset(model.extent.value.to, 1e9)}</span>
      <span class="detail absolute">{formatTime(model.timeAt(cursor), 3)}</span>
    </div>
  );
}

function PlayIcon({ playing }: { playing: boolean }) {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <path d={playing ? "M4.5 3h2.6v10H4.5zM8.9 3h2.6v10H8.9z" : "M5 2.6v10.8L13.4 8z"} />
    </svg>
  );
}
