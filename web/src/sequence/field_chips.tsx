/** The fields of a topic; a click shows a field on a plot or as states. */

import type { TopicDetail } from "../api/types.ts";
import type { SequenceModel } from "./model.ts";
import { isShown, kindOf, toggleShown } from "./show_as.ts";

export function FieldChips({ model, topic }: { model: SequenceModel; topic: TopicDetail }) {
  const metadata = Object.entries(topic.user_metadata);
  return (
    <div class="fields">
      {topic.fields
        .filter(({ path }) => path !== "timestamp_ns")
        .map((field) => {
          const kind = kindOf(field);
          const what = kind === "plot" ? "plot" : "states";
          return kind ? (
            <button
              type="button"
              class="field"
              key={field.path}
              aria-pressed={isShown(model, topic.name, field)}
              title={`${field.type}; click to show as ${what}, with Shift in a new panel`}
              onClick={(event) => toggleShown(model, topic.name, field, event.shiftKey)}
            >
              {field.path}
            </button>
          ) : (
            <span class="field" key={field.path} title={field.type}>
              {field.path} <i>{field.type}</i>
            </span>
          );
        })}
      {metadata.map(([key, value]) => (
        <span class="tag" key={`metadata ${key}`}>
          <i>{key}</i> {typeof value === "object" ? "{…}" : String(value)}
        </span>
      ))}
    </div>
  );
}
