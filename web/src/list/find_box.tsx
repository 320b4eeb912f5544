/** The search field: a part of a name, or a condition with completion. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { accept, complete, isCondition, type Suggestion, type Vocabulary } from "../query/complete.ts";
import { parseCondition } from "../query/parse.ts";
import { ConditionError } from "../query/tokens.ts";
import { Icon, IconButton } from "../ui/icons.tsx";

interface FindBoxProps {
  text: string;
  vocabulary: Vocabulary;
  /** Called with a text that is a part of a name, or a complete condition. */
  onFind: (text: string) => void;
  onFocus: () => void;
}

const DELAY_MS = 180;

export function FindBox({ text, vocabulary, onFind, onFocus }: FindBoxProps) {
  const typed = useSignal(text);
  const caret = useSignal(text.length);
  const chosen = useSignal(-1);
  const open = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const condition = useComputed(() => isCondition(typed.value));
  const problem = useComputed(() => (condition.value ? problemOf(typed.value) : null));
  const completion = useComputed(() => complete(typed.value, caret.value, vocabulary));
  const suggestions = open.value ? completion.value.suggestions : [];

  useEffect(() => {
    if (text !== typed.peek()) typed.value = text;
  }, [text]);
  useEffect(() => {
    if (problem.value !== null || typed.value.trim() === text) return;
    const timer = setTimeout(() => onFind(typed.value.trim()), DELAY_MS);
    return () => clearTimeout(timer);
  }, [typed.value]);

  const take = (suggestion: Suggestion) => {
    const next = accept(typed.value, completion.value, suggestion);
    typed.value = next.text;
    caret.value = next.caret;
    chosen.value = -1;
    input.current!.value = next.text;
    input.current!.focus();
    input.current!.setSelectionRange(next.caret, next.caret);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const count = suggestions.length;
    if (event.key === "Escape") {
      if (open.value && count > 0) open.value = false;
      else input.current!.blur();
    } else if (event.key === "ArrowDown" && !open.value) {
      open.value = true;
    } else if (count > 0 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const last = chosen.value <= 0 ? count : chosen.value;
      chosen.value = event.key === "ArrowDown" ? (chosen.value + 1) % count : last - 1;
    } else if (count > 0 && event.key === "Tab" && !event.shiftKey && typed.value !== "") {
      take(suggestions[Math.max(0, chosen.value)]!);
    } else if (event.key === "Enter") {
      if (count > 0 && chosen.value >= 0) take(suggestions[chosen.value]!);
      else {
        open.value = false;
        if (problem.value === null) onFind(typed.value.trim());
      }
    } else return;
    event.preventDefault();
  };
  const onInput = () => {
    typed.value = input.current!.value;
    caret.value = input.current!.selectionStart ?? typed.value.length;
    chosen.value = -1;
    open.value = typed.value !== ""; // an empty field opens them with the arrow key
  };

  return (
    <div class="find" role="search">
      <Icon name="search" />
      <input
        ref={input}
        id="find"
        type="text"
        role="combobox"
        aria-label="Search: a part of a name, or a condition"
        aria-expanded={suggestions.length > 0}
        aria-controls="find-suggestions"
        aria-activedescendant={chosen.value >= 0 ? `suggestion-${chosen.value}` : undefined}
        aria-invalid={problem.value !== null}
        aria-describedby="find-problem"
        autocomplete="off"
        spellcheck={false}
        placeholder="Name, or a condition:  imu.acceleration.x > 20 and sequence.user_metadata.site == &quot;north&quot;"
        value={typed.value}
        onInput={onInput}
        onFocus={onFocus}
        onBlur={() => {
          open.value = false;
        }}
        onKeyDown={onKeyDown}
        onClick={onInput}
      />
      {typed.value !== "" && (
        <>
          <span class={condition.value ? "find-kind condition" : "find-kind"}>
            {condition.value ? "condition" : "name"}
          </span>
          <IconButton
            icon="close"
            label="Clear the search"
            onClick={() => {
              typed.value = "";
              onFind("");
              input.current!.focus();
            }}
          />
        </>
      )}
      <div
        class="suggestions"
        id="find-suggestions"
        role="listbox"
        aria-label="Completions"
        hidden={suggestions.length === 0}
      >
        {suggestions.map((suggestion, index) => (
          <div
            key={suggestion.text}
            id={`suggestion-${index}`}
            role="option"
            aria-selected={index === chosen.value}
            onMouseDown={(event) => {
              event.preventDefault(); // the field keeps the focus
              take(suggestion);
            }}
          >
            <span>{suggestion.text}</span>
            <span class="detail">{suggestion.detail}</span>
          </div>
        ))}
      </div>
      <p id="find-problem" class="find-problem" role="status" hidden={problem.value === null}>
        {problem.value}
      </p>
    </div>
  );
}

function problemOf(text: string): string | null {
  try {
    parseCondition(text);
    return null;
  } catch (error) {
    if (!(error instanceof ConditionError)) throw error;
    return error.at < text.length ? `${error.message} (at “${text.slice(error.at, error.at + 16)}”)` : error.message;
  }
}
