/** Asks for an API key after the daemon refused a call. */

import { useRef } from "preact/hooks";
import { hasKey, refused, setKey } from "../api/http.ts";
import { Dialog } from "./overlay.tsx";

export function SignIn({ onKey }: { onKey: () => void }) {
  const input = useRef<HTMLInputElement>(null);
  if (!refused.value) return null;
  const submit = (event: Event) => {
    event.preventDefault();
    setKey(input.current!.value.trim() || null);
    onKey();
  };
  return (
    <Dialog
      title="API key"
      onClose={() => {
        refused.value = false;
      }}
    >
      <form class="sign-in" onSubmit={submit}>
        <p>
          {hasKey() ? "The daemon refuses this key here." : "The daemon shows recordings only with an API key."} The key
          stays in this tab until you close it.
        </p>
        <label>
          Key
          <input ref={input} type="password" autocomplete="off" required autofocus />
        </label>
        <button type="submit" class="button primary">
          Use the key
        </button>
      </form>
    </Dialog>
  );
}
