/** The fields of a topic; a click shows a field on a plot or as states. */

import { useSignal } from "@preact/signals";
import type { TopicDetail } from "../api/types.ts";
import { isAside } from "../lib/roles.ts";
import type { SequenceModel } from "./model.ts";
import { isShown, kindOf, toggleShown } from "./show_as.ts";

export function FieldChips({ model, topic }: { model: SequenceModel; topic: TopicDetail }) {
  const metadata = Object.entries(topic.user_metadata);
  const all = useSignal(false);
  const fields = topic.fields.filter((field) => all.value || !isAside(field));
  const aside = topic.fields.length - fields.length;
  return (
    <div class="fields">
      {fields.map((field) => {
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
      {aside > 0 && (
        <button
          type="button"
          class="field more"
          title="Headers, covariances and times"
          onClick={() => {
            all.value = true;
          }}
        >
          {aside} more
        </button>
      )}
      {metadata.map(([key, value]) => (
        <span class="tag" key={`metadata ${key}`}>
          <i>{key}</i> {typeof value === "object" ? "{…}" : String(value)}
        </span>
      ))}
    </div>
  );
}
